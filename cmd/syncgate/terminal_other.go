//go:build !unix

package main

import "io"

// terminalSize knows no terminals here: what is printed is printed as into a pipe.
func terminalSize(io.Writer) (columns, lines int, terminal bool) { return 0, 0, false }
