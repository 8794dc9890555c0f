//go:build !race

package eventloop_test

const raced = false
