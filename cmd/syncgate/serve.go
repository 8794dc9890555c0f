package main

import (
	"errors"
	"flag"
	"os"
	"os/signal"
	"syscall"

	"syncgate/configs"
)

const serveHelp = `Runs the gateway until SIGTERM or SIGINT. Then it stops being ready, serves on for drain.delay, refuses new requests, and ends when
the last waiting client is answered, or at drain.timeout; a second signal ends it at once. SIGHUP reads the configuration
again and applies routes, access, credentials, callback keys, headers for the engine, limits, the log level and the TLS certificate. The certificate
is also read again when its files change.

syncgate check --reference prints a configuration file with every key explained. The log goes to the standard error; a log that
nobody reads loses lines and stops nothing.
`

// errAgain ends the program at the second signal, whatever is still waiting.
var errAgain = errors.New("stopped by a second signal")

func serve(p *program, fs *flag.FlagSet, args []string) error {
	path := configFlag(fs)
	if err := parseConfigFlags(fs, args); err != nil {
		return err
	}
	ignoreSIGPIPE()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP) // first of all: a SIGHUP that is not caught kills
	defer signal.Stop(signals)
	load := func() (*configs.Config, []configs.Warning, error) { return p.config(*path) }
	c, warnings, err := load()
	if err != nil {
		return err
	}
	log, lines := newLog(p.err, c.Log)
	defer lines.finish() // whatever ends it, a second signal too
	for _, w := range warnings {
		log.Warn().Msg(string(w))
	}
	n, err := start(c, log, lines, p.getenv)
	if err != nil {
		log.Error().Err(err).Msg("the gateway cannot start")
		return loggedError{err}
	}
	if err := n.run(signals, load); err != nil {
		log.Error().Err(err).Msg("ended by an error")
		return loggedError{err}
	}
	return nil
}

// loggedError ends a command whose log has the error: what else is printed on the standard error would not be a line of the log's format.
type loggedError struct{ error }
