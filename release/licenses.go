package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

// licenses joins the licences and notices of Go and of every module in a binary, which most of them want to be handed on with it. It reads the files in the
// root of each module; a module that has none there is an error.
func (r *release) licenses(info *buildinfo.BuildInfo) ([]byte, error) {
	dirs, err := r.moduleDirectories(info)
	if err != nil {
		return nil, err
	}
	root, err := output(r.source, r.env, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("The binary of syncgate contains the modules below. These are their licences and notices.\n")
	if err := writeLicenses(&b, "Go "+info.GoVersion, strings.TrimSpace(string(root))); err != nil {
		return nil, err
	}
	for _, dep := range info.Deps {
		m := replaced(dep)
		if err := writeLicenses(&b, m.Path+" "+m.Version, dirs[m.Path]); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// replaced is the module that was used in place of another one, or that itself.
func replaced(m *debug.Module) *debug.Module {
	if m.Replace != nil {
		return m.Replace
	}
	return m
}

// moduleDirectories says where the go command keeps each module of a binary that it has just built.
func (r *release) moduleDirectories(info *buildinfo.BuildInfo) (map[string]string, error) {
	args := []string{"list", "-m", "-json"}
	for _, dep := range info.Deps {
		args = append(args, dep.Path)
	}
	dirs := make(map[string]string)
	out, err := output(r.source, r.env, "go", args...)
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var m struct {
			Path, Dir string
			Replace   *struct{ Path string }
		}
		if err := d.Decode(&m); err != nil {
			return nil, err
		}
		if m.Replace != nil {
			m.Path = m.Replace.Path
		}
		dirs[m.Path] = m.Dir
	}
	return dirs, nil
}

func writeLicenses(b *bytes.Buffer, what, dir string) error {
	files, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return fmt.Errorf("the licence of %s: %w", what, err)
	}
	is := regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice)([.-].*)?$`)
	found := false
	for _, f := range files {
		if f.IsDir() || !is.MatchString(f.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "\n%s\n%s, %s\n\n%s", strings.Repeat("=", 80), what, f.Name(), text)
		found = true
	}
	if !found {
		return fmt.Errorf("%s has no file LICENSE, COPYING or NOTICE in %s", what, dir)
	}
	return nil
}
