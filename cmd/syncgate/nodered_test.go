package main_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// nodeRED gives the directory with Node-RED's modules. npm installs them into the user's cache where they are not there yet.
func nodeRED(t *testing.T) string {
	t.Helper()
	const source = "testdata/node-red/"
	lock, err := os.ReadFile(source + "package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir() // without a home
	}
	sum := sha256.Sum256(lock)
	cache = filepath.Join(cache, "syncgate-test")
	dir := filepath.Join(cache, "node-red-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	made, err := os.MkdirTemp(cache, "installing-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(made)
	if err := os.CopyFS(made, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	const most = 2 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	npm.Dir = made
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm: %v\n%s", err, out)
	}
	if err := os.Rename(made, dir); err != nil && !errors.Is(err, fs.ErrExist) { // another test may have been first
		t.Fatal(err)
	}
	return dir
}

// nodeREDSettings has no editor, and nothing that looks for new versions.
const nodeREDSettings = `module.exports = {
	uiHost: "127.0.0.1", httpAdminRoot: false, credentialSecret: false,
	telemetry: {enabled: false, updateNotification: false},
	logging: {console: {level: "info", metrics: false, audit: false}},
};
`

// startNodeRED starts Node-RED with the example's flow and gives its address.
func startNodeRED(t *testing.T) string {
	t.Helper()
	modules, user := nodeRED(t), t.TempDir()
	flow, err := os.ReadFile(examplesDir + "node-red-flow.json")
	if err != nil {
		t.Fatal(err)
	}
	settings, flows := filepath.Join(user, "settings.js"), filepath.Join(user, "flows.json")
	if err := errors.Join(os.WriteFile(settings, []byte(nodeREDSettings), 0o600), os.WriteFile(flows, flow, 0o600)); err != nil {
		t.Fatal(err)
	}
	at := free(t, 1)[0]
	_, port, _ := net.SplitHostPort(at)
	program := filepath.Join(modules, "node_modules", "node-red", "red.js")
	background(t, "Server now running at", exec.Command("node", program, "--port", port, "--userDir", user, "--settings", settings, flows), exampleEnv()...)
	eventually(t, "the flow has started", func() bool {
		status, _ := get(t, "http://"+at+"/greetings")
		return status == 404
	})
	return at
}

// TestExampleNodeRED has the real Node-RED as the engine, with the flow of the example.
func TestExampleNodeRED(t *testing.T) {
	flow := startNodeRED(t)
	g := example(t, "node-red.yaml", "127.0.0.1:1880", flow)
	c := caller(t, g.public, 2)
	const body, result = `{"name":"Olena"}`, `{"greeting":"Hello, Olena"}`
	a := c.ask(t, "POST", "/v1/greetings", body, asShop)
	wantAnswer(t, a, 200, result)
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("the content type is %s", got)
	}
	wantAnswer(t, c.later(t, c.ask(t, "POST", "/v1/greetings", body, asShop, "Prefer: respond-async")), 200, result)
	wantAnswer(t, c.ask(t, "POST", "/v1/greetings", `{}`, asShop), 502, `{"message":"Error: name is missing"}`)
	repeats(t, flow+"/greetings", 401, "complete", result)
	g.stop()
}

// TestExampleN8n follows the example's workflow as n8n would. It is no proof that n8n does: n8n is too large for a test.
func TestExampleN8n(t *testing.T) {
	at := free(t, 1)[0]
	_, port, _ := net.SplitHostPort(at)
	background(t, "the stand-in listens", exec.Command("node", "testdata/n8n/standin.js", examplesDir+"n8n-workflow.json"), append(exampleEnv(), "PORT="+port)...)
	g := example(t, "n8n.yaml", "127.0.0.1:5678", at)
	c := caller(t, g.public, 2)
	const body, result = `{"name":"Olena"}`, `{"greeting":"Hello, Olena"}`
	wantAnswer(t, c.ask(t, "POST", "/v1/greetings", body, asShop), 200, result)
	repeats(t, at+"/webhook/greetings", 403, "", result)
	g.stop()
}
