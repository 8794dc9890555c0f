package dialect

import "time"

// Kind is what a path asks for.
type Kind uint8

const (
	// Create makes tasks.
	Create Kind = iota + 1
	// Task names a task.
	Task
	// Resource names what the dialect keeps itself.
	Resource
	// Report is where those call that complete tasks, beside our own callback path. It is served where callbacks are, and as they are: with
	// limits.callback_body, and while the node drains.
	Report
)

// Route is what a Dialect knows of a path. It keeps no byte of the request.
type Route struct {
	Kind    Kind
	View    uint8    // the dialect's own: which form of a task
	Own     any      // the dialect's own: what it knows of the path, as it was when the request came; not to be changed
	Methods []string // that the path answers, OPTIONS among them; not to be changed
	Name    string   // in the log and in metrics; empty: there is only one
	Body    int64    // the most bytes of a body, of Create and Resource; 0: limits.body, or the few bytes that nobody pays for
	// Wait is how long Resource may take at most; 0: what a store may take.
	Wait time.Duration
	// Watched says that the ctx of Resource also ends when the client has left, and that a client that has closed its side gets no answer.
	Watched bool
}
