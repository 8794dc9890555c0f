package main

import (
	"flag"
	"fmt"

	"syncgate/configs"
)

// configFlag defines --config. Its default is a variable, so that a container's health check finds what serve has found.
func configFlag(fs *flag.FlagSet) *string {
	return fs.String("config", "", "configuration `file`; without it that of "+configs.FileVariable+", and without both the defaults and SYNCGATE_ variables")
}

// config loads the configuration for a command that needs one.
func (p *program) config(path string) (*configs.Config, []configs.Warning, error) {
	if path == "" {
		path = p.getenv(configs.FileVariable)
	}
	return configs.Load(path, p.env)
}

func (p *program) getenv(name string) string {
	for _, e := range p.env {
		if len(e) > len(name) && e[:len(name)] == name && e[len(name)] == '=' {
			return e[len(name)+1:]
		}
	}
	return ""
}

const checkHelp = `Validates the configuration and prints what is in effect, as YAML with secrets masked: defaults, file and environment put
together. Every problem is listed, with its line and its key.
`

func check(p *program, fs *flag.FlagSet, args []string) error {
	path := configFlag(fs)
	reference := fs.Bool("reference", false, "print every key with its default and an explanation instead")
	if err := parseFlags(fs, args, 0); err != nil {
		return err
	}
	if *reference {
		fmt.Fprint(p.out, configs.Reference())
		return nil
	}
	c, warnings, err := p.config(*path)
	for _, w := range warnings {
		fmt.Fprintf(p.err, "warning: %s\n", w)
	}
	if err != nil {
		return err
	}
	out, err := c.YAML()
	if err != nil {
		return err
	}
	_, err = p.out.Write(out)
	return err
}
