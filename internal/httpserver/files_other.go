//go:build !unix

package httpserver

import "math"

// maxFiles is not limited by a number here.
func maxFiles() int64 { return math.MaxInt32 }
