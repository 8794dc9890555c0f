//go:build unix

package main_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// startDemo starts "syncgate demo" and gives its address.
func startDemo(t *testing.T) string {
	t.Helper()
	at := free(t, 1)[0]
	demo, log := exec.Command("syncgate", "demo", "--listen", at), new(logbook)
	demo.Stdout, demo.Stderr = log, log
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = demo.Process.Signal(syscall.SIGTERM)
		_ = demo.Wait()
		if t.Failed() {
			t.Log(log)
		}
	})
	eventually(t, "the demo listens", func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return at
}

// clientsPage gives the blocks of docs/clients.md, for a gateway at an address and this clone. temporary takes the place of /tmp.
func clientsPage(t *testing.T, at, temporary string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	edits := strings.NewReplacer("127.0.0.1:8080", at, "/path/to/syncgate", root, "/tmp", temporary)
	blocks := make(map[string]string)
	for block := range strings.SplitSeq(string(text), "<!-- test: ") {
		name, rest, ok := strings.Cut(block, " -->\n```")
		if _, code, opened := strings.Cut(rest, "\n"); ok && opened {
			code, _, _ = strings.Cut(code, "```\n")
			blocks[name] = edits.Replace(code)
		}
	}
	return blocks
}

// paste runs commands in a directory.
func paste(t *testing.T, dir, commands string) (printed string) {
	t.Helper()
	shell := exec.CommandContext(t.Context(), "sh", "-e", "-c", commands)
	shell.Dir = dir
	shell.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOSUMDB=off", "npm_config_offline=true", "npm_config_update_notifier=false")
	var log logbook
	shell.Stderr = &log
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", commands, err, out, log.String())
	}
	return string(out)
}

// TestClientsOfThePage does what docs/clients.md says: it installs each library into an empty project, without a network, and runs the program of the page.
func TestClientsOfThePage(t *testing.T) {
	blocks := clientsPage(t, startDemo(t), t.TempDir())
	for _, c := range []struct{ name, begin, file, run string }{
		{"js", "npm init -y", "call.mjs", "node call.mjs"},
		{"go", "go mod init example", "call.go", "go run ."},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			paste(t, dir, c.begin)
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte(blocks[c.file]), 0o600); err != nil {
				t.Fatal(err)
			}
			paste(t, dir, blocks["install "+c.name])
			if got, want := paste(t, dir, c.run), blocks[c.file+" answer"]; got != want || want == "" {
				t.Errorf("the program of the page prints\n%s\nand not\n%s", got, want)
			}
		})
	}
}

// TestClientsHaveNoDependencies wants that who takes a library takes nothing else.
func TestClientsHaveNoDependencies(t *testing.T) {
	if got, want := paste(t, "../../clients/go", "go list -m all"), "syncgate/clients/go\n"; got != want {
		t.Errorf("the module of the client in Go needs\n%s", got)
	}
	text, err := os.ReadFile("../../clients/js/package.json")
	if err != nil || strings.Contains(string(text), "ependencies") {
		t.Errorf("the package of the client in JavaScript has dependencies, or cannot be read: %v\n%s", err, text)
	}
}

// TestClientTypes has the compiler of TypeScript check a program against the types of clients/js, and the types against themselves.
func TestClientTypes(t *testing.T) {
	dir := installed(t, "testdata/types")
	if err := os.CopyFS(filepath.Join(dir, "node_modules", "syncgate"), os.DirFS("../../clients/js")); err != nil {
		t.Fatal(err)
	}
	paste(t, dir, "node_modules/.bin/tsc --strict --noEmit --noUnusedLocals --target es2022 --module nodenext --lib es2022,dom use.ts")
}

// TestJavaScriptClientIsSmall wants that a page which loads it loads little: fewer than 400 lines, comments aside.
func TestJavaScriptClientIsSmall(t *testing.T) {
	files, err := filepath.Glob("../../clients/js/internal/*.js")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range append(files, "../../clients/js/index.js") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") && !strings.HasPrefix(line, "/**") {
				n++
			}
		}
	}
	if n < 100 || n >= 400 {
		t.Errorf("clients/js has %d lines of code", n)
	}
}
