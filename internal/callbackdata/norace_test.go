//go:build !race

package callbackdata_test

const raced = false
