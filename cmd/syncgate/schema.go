package main

import (
	"flag"

	"syncgate/configs"
)

const schemaHelp = `Prints a JSON Schema (draft 2020-12) of the configuration file, with every key, its type, its default and an explanation. An editor
that has it completes keys and marks what is wrong while you write:

  syncgate schema > schema.json

and in the first line of the configuration, for editors with the YAML language server:

  # yaml-language-server: $schema=schema.json

It knows each setting alone. syncgate check knows whether they go together too.
`

func schema(p *program, fs *flag.FlagSet, args []string) error {
	if err := parseFlags(fs, args, 0); err != nil {
		return err
	}
	out, err := configs.JSONSchema()
	if err != nil {
		return err
	}
	_, err = p.out.Write(out)
	return err
}
