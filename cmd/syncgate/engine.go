package main

import (
	"context"
	"flag"
	"fmt"
	"os/signal"
	"strings"
	"syscall"

	"syncgate/internal/enginesim"
)

const engineHelp = `Runs the simulated engine: it takes create-task packages as Corezoid's API does, answers them, and later calls each task's
callback URL with the task's own data as the result. The flags say how well it behaves; a single task can say otherwise in
the member __sim of its data: {"amount": 5, "__sim": {"delay_ms": [20, 50], "duplicates": 2}}.

Point a gateway's engine.url at it to try delays, failures and repeated callbacks. SIGINT or SIGTERM stops it.
`

func engine(p *program, fs *flag.FlagSet, args []string) error {
	cfg := enginesim.Default()
	cfg.Flags(fs)
	if err := parseFlags(fs, args, 0); err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return usageError("--" + strings.ReplaceAll(err.Error(), "\n", "; --"))
	}
	ignoreSIGPIPE()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	e, err := enginesim.Start(cfg)
	if err != nil {
		return err
	}
	defer e.Close()
	printBriefly(p.out, fmt.Sprintf("simulated engine on %s, stop it with Ctrl-C\n", e.URL()))
	<-ctx.Done()
	return nil
}
