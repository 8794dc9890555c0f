package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWrongArguments wants that nothing is written for arguments that make no release.
func TestWrongArguments(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1767225600")
	full := t.TempDir()
	put(t, filepath.Join(full, "syncgate_0.0.9_amd64.deb"), nil, 0o644)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, `"" is not the version of a release`},
		{[]string{"-version", "0.1.0"}, "as in make release VERSION=v0.1.0"},
		{[]string{"-version", "v0.1"}, "is not the version"},
		{[]string{"-version", "v0.01.0"}, "is not the version"},
		{[]string{"-version", "v0.1.0+1"}, "is not the version"},
		{[]string{"-version", "v0.1.0-5-g429e2f8"}, "is not the version"},
		{[]string{"-version", "v0.1.0-rc.01"}, "is not the version"},
		{[]string{"-version", "v0.1.0-dirty"}, "in no commit"},
		{[]string{"-version", "v0.1.0", "-platforms", "linux"}, `"linux" is no platform`},
		{[]string{"-version", "v0.1.0", "-out", full}, "is not empty"},
		{[]string{"-version", "v0.1.0", "dist"}, "dist is not a flag"},
	} {
		out := filepath.Join(t.TempDir(), "dist")
		err := run(append([]string{"-out", out, "-source", ".."}, c.args...), new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.args, err)
		}
		if _, err := os.Stat(out); !os.IsNotExist(err) {
			t.Errorf("%q writes a directory: %v", c.args, err)
		}
	}
}

// TestSourceTime wants the time of the commit, or that of the environment.
func TestSourceTime(t *testing.T) {
	dir := t.TempDir()
	tool(t, nil, "git", "-C", dir, "init", "--quiet")
	date := []string{"GIT_COMMITTER_DATE=2026-02-03T04:05:06Z"}
	tool(t, date, "git", "-C", dir, "-c", "user.name=n", "-c", "user.email=e@localhost", "commit", "--quiet", "--allow-empty", "-m", "first")
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if at, err := sourceTime(dir); err != nil || at.Format(time.RFC3339) != "2026-02-03T04:05:06Z" {
		t.Errorf("the time of the commit is %v, %v", at, err)
	}
	if _, err := sourceTime(t.TempDir()); err == nil || !strings.Contains(err.Error(), "set SOURCE_DATE_EPOCH") {
		t.Errorf("without a commit: %v", err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1767225600")
	if at, err := sourceTime(dir); err != nil || at.Format(time.RFC3339) != "2026-01-01T00:00:00Z" {
		t.Errorf("the time of the environment is %v, %v", at, err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if _, err := sourceTime(dir); err == nil || !strings.Contains(err.Error(), "seconds since 1970") {
		t.Errorf("yesterday: %v", err)
	}
}
