// Package nowait makes system calls that do not wait, on descriptors that do not block.
//
// On Linux, Go's scheduler does not know of them. It knows of any other system call: it may take the processor away from the caller
// and give it to another thread, and where nothing was running before it wakes up its monitor, which then looks every 20 us for a
// millisecond (docs/decisions/loops.md). A collection of garbage waits for the call to return.
//
// It has nothing for systems that are not like Unix.
package nowait
