//go:build race

package httpserver

// The race detector makes pools drop what they hold at random, and objects larger: nothing can be said of memory.
const raced = true
