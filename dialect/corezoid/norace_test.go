//go:build !race

package corezoid_test

const raced = false
