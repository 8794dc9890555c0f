//go:build !race

package httpserver

const raced = false
