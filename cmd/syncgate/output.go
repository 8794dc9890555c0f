package main

import (
	"io"
	"os/signal"
	"syscall"
	"time"
)

// printTimeout is how long printBriefly waits for a reader.
const printTimeout = time.Second

// ignoreSIGPIPE lets a command that serves go on when the reader of its log or of its output has gone. A Go program ends by
// SIGPIPE when it writes to such a pipe at descriptor 1 or 2; now the write returns an error.
func ignoreSIGPIPE() { signal.Ignore(syscall.SIGPIPE) }

// printBriefly writes text, and waits for its reader no longer than printTimeout: a server has to serve and to hear signals, and
// every command has to end, even if nobody reads. After that the goroutine goes on with the write, at most until the process
// ends.
func printBriefly(w io.Writer, text string) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(w, text) // there is no other place to report an error
	}()
	select {
	case <-written:
	case <-time.After(printTimeout):
	}
}
