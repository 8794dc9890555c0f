package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"
)

// file is a file of an archive, by its name there.
type file struct {
	name string
	mode fs.FileMode
	body []byte
}

// archive writes the tar.gz of a platform. Everything in it is in one directory, so that it can be unpacked anywhere.
func (r *release) archive(b built, docs *documents, licenses []byte) error {
	files := []file{
		{name, 0o755, b.binary},
		{"LICENSE", 0o644, docs.license},
		{"LICENSES-OF-MODULES", 0o644, licenses},
		{"README.md", 0o644, docs.readme},
		{"CHANGELOG.md", 0o644, docs.changes},
		{"reference.yaml", 0o644, docs.reference},
		{"syncgate.1", 0o644, docs.man},
		{"completions/syncgate.bash", 0o644, docs.bash},
		{"completions/_syncgate", 0o644, docs.zsh},
		{"completions/syncgate.fish", 0o644, docs.fish},
	}
	if b.os == "linux" {
		files = append(files, file{"systemd/syncgate.service", 0o644, docs.service}, file{"systemd/syncgate.yaml", 0o644, docs.config})
	}
	root := r.base(b.platform)
	for i := range files {
		files[i].name = root + "/" + files[i].name
	}
	var plain bytes.Buffer
	if err := writeTar(&plain, files, r.time); err != nil {
		return err
	}
	packed, err := compress(plain.Bytes())
	if err != nil {
		return err
	}
	return r.write(root+".tar.gz", packed)
}

// base begins the names of the files of a platform.
func (r *release) base(p platform) string { return fmt.Sprintf("%s_%s_%s", name, r.number(), p) }

// writeTar writes files and the directories that they are in, sorted by name. All belong to root and have one time.
func writeTar(w io.Writer, files []file, at time.Time) error {
	t := tar.NewWriter(w)
	for _, f := range withDirectories(files) {
		h := tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: int64(f.mode), Size: int64(len(f.body)), ModTime: at, Format: tar.FormatUSTAR}
		if f.body == nil {
			h.Typeflag, h.Name = tar.TypeDir, f.name+"/"
		}
		if err := t.WriteHeader(&h); err != nil {
			return err
		}
		if _, err := t.Write(f.body); err != nil {
			return err
		}
	}
	return t.Close()
}

// withDirectories adds a directory, which is a file without a body, for each that a file is in.
func withDirectories(files []file) []file {
	all := slices.Clone(files)
	seen := make(map[string]bool)
	for _, f := range files {
		for dir := path.Dir(f.name); dir != "." && !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			all = append(all, file{name: dir, mode: 0o755})
		}
	}
	slices.SortFunc(all, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	return all
}

// compress gives the gzip of a body, with no time and no name in it.
func compress(body []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}
