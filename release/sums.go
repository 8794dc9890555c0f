package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
)

// sums writes SHA256SUMS, as sha256sum -c reads it. It goes last: it has every other file of the release.
func (r *release) sums() error {
	files, err := os.ReadDir(r.out) // sorted by name
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, f := range files {
		body, err := os.ReadFile(filepath.Join(r.out, f.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(body), f.Name())
	}
	return r.write("SHA256SUMS", b.Bytes())
}
