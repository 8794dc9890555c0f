//go:build race

package callbackdata_test

// The race detector makes pools drop what they hold at random, so that nothing can be said of allocations.
const raced = true
