// Command bench measures what a trip and a parked client cost: it runs the gateway, the floor (the least program that makes
// the same exchanges) and programs as people write them in turn on this machine, prints tables, and writes docs/benchmarks
// and a part of docs/scaling.md. README.md beside it says how.
//
//	go run ./bench [-quick] [flags]      the comparison
//	go run ./bench load [flags]          the load generator alone, against gateways that run already
//	go run ./bench engine [flags]        the simulated engine alone
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"syncgate/internal/enginesim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, out io.Writer) error {
	name := "compare"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	fs := flag.NewFlagSet("bench "+name, flag.ContinueOnError)
	switch name {
	case "compare":
		var o options
		o.flags(fs)
		if err := fs.Parse(args); err != nil {
			return err
		}
		return runAll(ctx, o, out)
	case "load":
		return runLoad(ctx, fs, args, out)
	case "engine":
		return runEngine(ctx, fs, args, out)
	default:
		return fmt.Errorf("%s is none of compare, load, engine", name)
	}
}

func runLoad(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	l := defaultLoad()
	l.flags(fs)
	if err := fs.Parse(args); err != nil {
		return err
	}
	r, err := l.run(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, r)
	return r.err()
}

func runEngine(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	cfg := enginesim.Default()
	cfg.Flags(fs)
	if err := fs.Parse(args); err != nil {
		return err
	}
	e, err := enginesim.Start(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, e.URL())
	<-ctx.Done()
	e.Close()
	return nil
}
