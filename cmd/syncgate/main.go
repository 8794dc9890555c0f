// Command syncgate gives synchronous HTTP callers an answer from an asynchronous engine. Run it with --help.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"syncgate/configs"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // while running
	exitUsage  = 2 // command line or configuration
)

// program is what the commands have of the process.
type program struct {
	in       io.Reader
	out, err io.Writer
	env      []string
}

// command is one word of the command line.
type command struct {
	name, args, summary string
	// run does it. An error of type usageError or configs.Problems is exitUsage, another one exitFailed.
	run func(*program, *flag.FlagSet, []string) error
	// help follows the usage line of syncgate NAME --help.
	help string
}

func commands() []command {
	return []command{
		{"serve", "[--config FILE]", "run the gateway", serve, serveHelp},
		{"demo", "[--listen ADDR]", "run a gateway and a simulated engine, to try it out", demo, demoHelp},
		{"engine", "[flags]", "run the simulated engine alone", engine, engineHelp},
		{"sign", "--login L --secret-file F [--url BASE] [--time T] [--curl] [FILE|-]", "sign a request", sign, signHelp},
		{"check", "[--config FILE]", "validate the configuration and print it", check, checkHelp},
		{"health", "[--config FILE]", "ask a running gateway whether it is ready", health, healthHelp},
		{"version", "", "print the version", version, "Prints the version of syncgate, of Go and of the platform.\n"},
	}
}

func main() {
	p := &program{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Environ()}
	os.Exit(p.main(os.Args[1:]))
}

// main runs one command and gives the exit status.
func (p *program) main(args []string) int {
	if len(args) == 0 {
		p.usage(p.err)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		p.usage(p.out)
		return exitOK
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return p.status(c.name, c.parse(p, args[1:]))
		}
	}
	return p.status(args[0], usageError("there is no such command; syncgate --help lists them"))
}

// parse reads the flags that run defines, and runs.
func (c *command) parse(p *program, args []string) error {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are ours to print, once
	fs.Usage = func() {
		fmt.Fprintf(p.out, "Usage: syncgate %s\n\n%s", strings.TrimSpace(c.name+" "+c.args), c.help)
		p.flags(fs)
	}
	return c.run(p, fs, args)
}

// flags lists the flags as --name, with their defaults.
func (p *program) flags(fs *flag.FlagSet) {
	first := true
	fs.VisitAll(func(f *flag.Flag) {
		if first {
			fmt.Fprint(p.out, "\nFlags:\n")
			first = false
		}
		value, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(p.out, "  --%s\n        %s", strings.TrimSpace(f.Name+" "+value), usage)
		if f.DefValue != "" && f.DefValue != "false" {
			fmt.Fprintf(p.out, " (default %s)", f.DefValue)
		}
		fmt.Fprintln(p.out)
	})
}

func (p *program) usage(w io.Writer) {
	fmt.Fprint(w, "syncgate gives synchronous HTTP callers an answer from an asynchronous engine: a signed request goes in, "+
		"the engine\nworks and calls back, and the caller gets the result as the answer to its request.\n\nUsage: syncgate COMMAND\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-8s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nsyncgate COMMAND --help tells more about each. To see it work: syncgate demo\n")
}

// usageError says that the command line is wrong.
type usageError string

func (e usageError) Error() string { return string(e) }

// parseFlags reads args and wants at most so many arguments after the flags.
func parseFlags(fs *flag.FlagSet, args []string, most int) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError(err.Error())
	}
	if fs.NArg() > most {
		return usageError(fmt.Sprintf("unexpected argument %q", fs.Arg(most)))
	}
	return nil
}

// status prints err and gives the exit status that it means.
func (p *program) status(name string, err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if problems, ok := errors.AsType[configs.Problems](err); ok {
		printBriefly(p.err, fmt.Sprintf("syncgate %s: the configuration has %s:\n%v\n", name, count(len(problems), "problem"), problems))
		return exitUsage
	}
	printBriefly(p.err, fmt.Sprintf("syncgate %s: %v\n", name, err))
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
