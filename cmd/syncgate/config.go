package main

import (
	"flag"
	"fmt"
	"strings"

	"syncgate/configs"
)

// configFlag defines --config. Its default is a variable, so that a container's health check finds what serve has found.
func configFlag(fs *flag.FlagSet) *string {
	return fs.String("config", "", "configuration `file`. Without it the variable "+configs.FileVariable+" names the file. Without both there is none: the defaults and SYNCGATE_ variables are in effect")
}

// config loads the configuration for a command that needs one.
func (p *program) config(path string) (*configs.Config, []configs.Warning, error) {
	if path == "" {
		var set bool
		if path, set = p.getenv(configs.FileVariable); set && path == "" {
			return nil, nil, usageError(configs.FileVariable + " is set and names no file: name one, or unset it to run with the defaults")
		}
	}
	c, warnings, err := configs.Load(path, p.env)
	if err != nil {
		return nil, warnings, err
	}
	if _, from, err := engineProxy(c, p.getenv); err != nil {
		return nil, warnings, configs.Problems{{Variable: from, Text: err.Error()}}
	}
	return c, warnings, nil
}

// parseConfigFlags is parseFlags for a command that has --config. A --config= without a file is an error: it comes of a shell variable
// that is not set, and the defaults are not what was meant.
func parseConfigFlags(fs *flag.FlagSet, args []string) error { return parseConfigArgs(fs, args, 0) }

// parseConfigArgs is parseConfigFlags with at most so many other arguments.
func parseConfigArgs(fs *flag.FlagSet, args []string, most int) error {
	if err := parseFlags(fs, args, most); err != nil {
		return err
	}
	empty := false
	fs.Visit(func(f *flag.Flag) { empty = empty || f.Name == "config" && f.Value.String() == "" })
	if empty {
		return usageError("--config names no file; is a variable of the shell not set? Leave the flag out to run with the defaults")
	}
	return nil
}

// getenv gives the last of the values that a variable has.
func (p *program) getenv(name string) (value string, set bool) {
	for _, e := range p.env {
		if text, ok := strings.CutPrefix(e, name+"="); ok {
			value, set = text, true
		}
	}
	return value, set
}

const checkHelp = `Validates the configuration and prints what is in effect, as YAML with secrets masked: defaults, file and environment put
together. Every problem is listed, with its line and its key.

With --online it looks at what is around a gateway instead, and prints a line for each with ok, warning or error and what to do: whether
Redis can be used, whether the engine answers, whether callback.base_url leads to a gateway (start it first), whether the clocks agree, and
whether the limit of open files is high enough. The exit status is 2 where a line says error.
`

func check(p *program, fs *flag.FlagSet, args []string) error {
	path := configFlag(fs)
	reference := fs.Bool("reference", false, "print every key with its default and an explanation instead")
	online := fs.Bool("online", false, "look at Redis, the engine, the callback URL, the clock and the limit of open files, and print a line for each")
	quiet := fs.Bool("quiet", false, "print problems and warnings alone, as before a start")
	if err := parseConfigFlags(fs, args); err != nil {
		return err
	}
	if *reference {
		fmt.Fprint(p.out, configs.Reference())
		return nil
	}
	c, warnings, err := p.config(*path)
	if *online && err == nil {
		return p.online(c, warnings)
	}
	for _, w := range warnings {
		fmt.Fprintf(p.err, "warning: %s\n", w)
	}
	if err != nil || *quiet {
		return err
	}
	out, err := c.YAML()
	if err != nil {
		return err
	}
	_, err = p.out.Write(out)
	return err
}
