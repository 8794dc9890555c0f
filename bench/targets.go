package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// target is a program under test.
type target struct {
	name string
	pkg  string // that it is built from
	// args writes what the program needs into dir and gives its arguments.
	args func(dir string, at addresses) ([]string, error)
}

// addresses of one run, host:port each.
type addresses struct{ public, admin, engine string }

func targets() []target {
	return []target{
		{"floor", "syncgate/bench/floor", floorArgs},
		{"syncgate", "syncgate/cmd/syncgate", gatewayArgs},
	}
}

func floorArgs(_ string, at addresses) ([]string, error) {
	return []string{"-listen", at.public, "-engine", at.engine}, nil
}

const (
	login, secret = "bench", "secret of bench"

	// gatewayConfig is the gateway as it is shipped, apart from its addresses and who may call.
	gatewayConfig = `listen: {public: %q, admin: %q}
callback: {base_url: "http://%s"}
engine: {url: "http://%s"}
auth: {credentials: [{login: %q, secret: %q}]}
log: {level: info, format: json}
`
)

func gatewayArgs(dir string, at addresses) ([]string, error) {
	file := filepath.Join(dir, "syncgate.yaml")
	config := fmt.Sprintf(gatewayConfig, at.public, at.admin, at.public, at.engine, login, secret)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return []string{"serve", "--config", file}, nil
}

// program is where build puts the target.
func (t target) program(dir string) string { return filepath.Join(dir, t.name) }

func build(ctx context.Context, dir string, targets []target) error {
	for _, t := range targets {
		out, err := exec.CommandContext(ctx, "go", "build", "-o", t.program(dir), t.pkg).CombinedOutput() //nolint:gosec // constants
		if err != nil {
			return fmt.Errorf("build %s: %w\n%s", t.pkg, err, out)
		}
	}
	return nil
}
