// Command syncgate gives synchronous HTTP callers an answer from an asynchronous engine. Run it with --help.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
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
	// run does it: it defines its flags and reads them by parseFlags before anything else. An error of type usageError or
	// configs.Problems is exitUsage, another one exitFailed.
	run func(*program, *flag.FlagSet, []string) error
	// help follows the usage line of syncgate NAME --help.
	help string
	// alike are words that people try for it, separated by blanks.
	alike string
}

func commands() []command {
	return []command{
		{"serve", "[--config FILE]", "run the gateway", serve, serveHelp, "start run server gateway up"},
		{"demo", "[--listen ADDR] [--admin ADDR]", "run a gateway and a simulated engine, to try it out", demo, demoHelp, "try example"},
		{"engine", "[flags]", "run the simulated engine alone", engine, engineHelp, "simulate simulator sim enginesim mock"},
		{"sign", "--login L --secret-file F [--url BASE] [--time T] [--curl] [--headers] [FILE|-]", "sign a request", sign, signHelp, "curl request"},
		{"check", "[--config FILE] [--quiet | --online | --reference]", "validate the configuration and print it", check, checkHelp, "validate test config configtest lint verify"},
		{"doctor", "[--config FILE] [--only PARTS] [--url URL] [--wait D] [--json]", "find what is wrong around a gateway, and say what to set", diagnose, doctorHelp, "diagnose examine troubleshoot probe edge"},
		{"schema", "", "print a JSON Schema of the configuration, for editors", schema, schemaHelp, "jsonschema json-schema"},
		{
			"openapi", "[routes|corezoid|admin] [--config FILE] [--json] [--clients] [--title T] [--version V]", "print a description of routes in OpenAPI",
			describe, openapiHelp, "swagger spec oas api describe",
		},
		{"health", "[--config FILE]", "ask a running gateway whether it is ready", health, healthHelp, "healthcheck ready status ping"},
		{
			"trips", "[--state S] [--route R] [--login L] [--outcome O] [--older T] [--limit N] [--config FILE | --admin ADDR] [--json]",
			"list the requests of a running gateway", trips, tripsHelp, "requests tasks inflight ls",
		},
		{"trip", "ID [--cancel] [--config FILE | --admin ADDR] [--json]", "ask a running gateway where a request is", whereIs, tripHelp, "where request"},
		{"top", "[--once] [--config FILE | --admin ADDR]", "show what a running gateway does, each second", top, topHelp, "live watch monitor stats htop"},
		{
			"notify", "list|show|retry|drop [ID] [--state S] [--subscription U] [--limit N] [--after C] [--config FILE | --admin ADDR] [--json]",
			"list, show, retry or drop results that are pushed", notifications, notifyHelp, "notifications webhooks hooks push",
		},
		{"waiters", "[--config FILE] [--live | --admin ADDR]", "print the URLs at which tasks are completed by name", waiters, waitersHelp, "waiter callback callbacks urls"},
		{"completion", "bash|zsh|fish", "print a script that completes commands and flags in a shell", completion, completionHelp, "complete"},
		{"man", "", "print the manual page", manual, manHelp, "manual manpage"},
		{"version", "", "print the version", version, "Prints the version of syncgate, of Go and of the platform.\n", ""},
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
	name := args[0]
	switch name {
	case "help", "-h", "-help", "--help":
		p.usage(p.out)
		return exitOK
	case "-v", "-version", "--version":
		name = "version"
	}
	for _, c := range commands() {
		if c.name == name {
			return p.status("syncgate "+name, c.parse(p, args[1:]))
		}
	}
	return p.status("syncgate", unknownCommand(name))
}

func unknownCommand(name string) error {
	var names, alike []string // alike: the words that people try
	meant := make(map[string]string)
	for _, c := range commands() {
		names = append(names, c.name)
		alike = append(alike, strings.Fields(c.alike)...)
		for _, word := range append(strings.Fields(c.alike), c.name) {
			meant[word] = c.name
		}
	}
	if strings.HasPrefix(name, "-") {
		return usageError(fmt.Sprintf("flags follow a command, and %q does not: write syncgate serve --config FILE; syncgate --help lists the commands", name))
	}
	text := fmt.Sprintf("there is no command %q", name)
	if near := nearest(name, append(slices.Clip(names), alike...)); near != "" {
		return usageError(text + ", did you mean " + meant[near] + "? syncgate --help lists all")
	}
	return usageError(text + ", there is " + strings.Join(names, ", ") + "; syncgate --help explains")
}

// parse reads the flags that run defines, and runs.
func (c *command) parse(p *program, args []string) error {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are ours to print, once
	fs.Usage = func() {
		fmt.Fprintf(p.out, "Usage: syncgate %s\n\n%s", strings.TrimSpace(c.name+" "+c.args), c.help)
		printFlags(p.out, fs)
	}
	return c.run(p, fs, args)
}

const summary = `syncgate gives synchronous HTTP callers an answer from an asynchronous engine: a signed request goes in, the engine
works and calls back, and the caller gets the result as the answer to its request.
`

func (p *program) usage(w io.Writer) {
	fmt.Fprint(w, summary+"\nUsage: syncgate COMMAND\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-10s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nsyncgate COMMAND --help tells more about each. To see it work: syncgate demo\n")
}

// status prints err and gives the exit status that it means.
func (p *program) status(name string, err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if problems, ok := errors.AsType[configs.Problems](err); ok {
		printBriefly(p.err, fmt.Sprintf("%s: the configuration has %s:\n%v\n", name, count(len(problems), "problem"), problems))
		return exitUsage
	}
	if _, ok := errors.AsType[loggedError](err); ok {
		return exitFailed
	}
	printBriefly(p.err, fmt.Sprintf("%s: %v\n", name, err))
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
