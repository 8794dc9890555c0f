// Command chaos breaks the product's surroundings, one fault at a time, under load, and tells what became of every
// request: it builds the gateway, runs two of them with real Redis servers, a balancer and the simulated engine on the
// loopback, and compares what clients and engine have seen. Nothing may be lost, doubled, or given to somebody else; its
// exit status is 1 when something was.
//
//	go run ./bench/chaos                      every cell of the matrix; writes docs/reliability.md
//	go run ./bench/chaos -short               some of them, in less than a minute; writes nothing
//	go run ./bench/chaos -cells redis/pause   those whose names have that in them; several by comma
//	go run ./bench/chaos -list                their names
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// runLimit bounds the whole run.
const runLimit = 15 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// options of a run.
type options struct {
	short bool
	list  bool
	race  bool
	cells string
	out   string
}

func command(ctx context.Context, args []string, out io.Writer) error {
	var o options
	fs := flag.NewFlagSet("chaos", flag.ContinueOnError)
	fs.BoolVar(&o.short, "short", false, "a part of the matrix, in less than a minute")
	fs.BoolVar(&o.list, "list", false, "name the cells and end")
	fs.BoolVar(&o.race, "race", false, "build the gateway with the race detector")
	fs.StringVar(&o.cells, "cells", "", "`list` of texts: only cells that have one of them in their names")
	fs.StringVar(&o.out, "out", "", "`file` for the report (default docs/reliability.md for a run of all cells, else none)")
	if err := fs.Parse(args); err != nil {
		return err
	}
	chosen := choose(matrix(), o)
	if len(chosen) == 0 {
		return fmt.Errorf("cells: none has %q in its name", o.cells)
	}
	if o.list {
		for _, c := range chosen {
			fmt.Fprintln(out, c.name())
		}
		return nil
	}
	if o.out == "" && len(chosen) == len(matrix()) {
		o.out = filepath.Join("docs", "reliability.md")
	}
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	return runAll(ctx, chosen, o, out)
}

// choose gives the cells that the options want.
func choose(all []cell, o options) (chosen []cell) {
	for _, c := range all {
		if o.short && !c.short {
			continue
		}
		for part := range strings.SplitSeq(o.cells, ",") {
			if strings.Contains(c.name(), part) {
				chosen = append(chosen, c)
				break
			}
		}
	}
	return chosen
}

// runAll runs cells one after the other. Its error names those that went wrong.
func runAll(ctx context.Context, cells []cell, o options, out io.Writer) error {
	dir, err := os.MkdirTemp("", "chaos") // short: sockets have their paths in it
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	if err := build(ctx, dir, o.race); err != nil {
		return err
	}
	var results []*result
	var bad []string
	for _, c := range cells {
		began := time.Now()
		r := c.run(ctx, dir)
		fmt.Fprintf(out, "%-45s %5.1f s  %s\n", c.name(), time.Since(began).Seconds(), r)
		for _, problem := range r.problems {
			fmt.Fprintln(out, "   ", problem)
		}
		if len(r.problems) > 0 {
			bad = append(bad, c.name())
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("ended before its end: %w", err)
		}
		results = append(results, r)
	}
	if o.out != "" {
		if err := os.WriteFile(o.out, []byte(report(ctx, results)), 0o600); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("%d of %d cells went wrong: %s; logs are in %s", len(bad), len(cells), strings.Join(bad, ", "), dir)
	}
	return os.RemoveAll(dir)
}

// build makes the program under test.
func build(ctx context.Context, dir string, race bool) error {
	args := []string{"build", "-o", filepath.Join(dir, "syncgate")}
	if race {
		args = append(args, "-race")
	}
	out, err := exec.CommandContext(ctx, "go", append(args, "syncgate/cmd/syncgate")...).CombinedOutput() //nolint:gosec // the arguments are constants and a directory that we made
	if err != nil {
		return fmt.Errorf("build the gateway: %w\n%s", err, out)
	}
	return nil
}
