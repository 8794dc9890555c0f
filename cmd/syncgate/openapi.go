package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/valyala/fasthttp"

	"syncgate/configs"
	"syncgate/openapi"
)

const openapiHelp = `Prints a description (OpenAPI 3.1) in YAML, or with --json in JSON. What is described is one of

  routes     the routes of the configuration, which is read as by serve. This is what it prints when you name nothing
  corezoid   Corezoid's Sync API, as every gateway speaks it
  admin      the admin listener

Give the description of your routes to those who call them. It has the address in listen.public_url, and no secret. With --clients it also leaves out
what engines get and call: so it is for everybody.
`

// openapiKinds are what can be described.
const openapiKinds = "routes corezoid admin"

func describe(p *program, fs *flag.FlagSet, args []string) error {
	path := configFlag(fs)
	asJSON := fs.Bool("json", false, "print JSON")
	clients := fs.Bool("clients", false, "routes: leave out what engines get and call")
	title := fs.String("title", "", "routes: the `title` of the description; empty: Routes")
	version := fs.String("version", "", "routes: the `version` of the API, which is yours to choose; empty: 1")
	if err := parseConfigArgs(fs, args, 1); err != nil {
		return err
	}
	var text []byte
	switch kind := fs.Arg(0); kind {
	case "", "routes":
		return p.describeRoutes(*path, openapi.Input{Title: *title, Version: *version, ForClients: *clients}, *asJSON)
	case "corezoid":
		text = openapi.Corezoid()
	case "admin":
		text = openapi.Admin()
	default:
		return usageError("name what to describe: routes, corezoid or admin")
	}
	if !*asJSON {
		_, err := p.out.Write(text)
		return err
	}
	d, err := openapi.Parse(text)
	if err != nil {
		return err
	}
	return p.printDescription(d, true)
}

func (p *program) describeRoutes(path string, in openapi.Input, asJSON bool) error {
	c, warnings, err := p.config(path)
	for _, w := range warnings {
		fmt.Fprintf(p.err, "warning: %s\n", w)
	}
	if err != nil {
		return err
	}
	in.Config = c
	if in.Schemas, err = bodySchemas(c); err != nil {
		return err
	}
	d, err := openapi.Routes(in)
	if errors.Is(err, openapi.ErrNoRoutes) {
		return usageError(err.Error() + ": --config names the file that has them; for Corezoid's paths: syncgate openapi corezoid")
	}
	if err != nil {
		return err
	}
	return p.printDescription(d, asJSON)
}

// showDescription answers operators with the description of the admin listener.
func showDescription(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("application/yaml") // RFC 9512
	ctx.SetBody(openapi.Admin())
}

// bodySchemas reads the schemas of bodies that routes name.
func bodySchemas(c *configs.Config) (map[string][]byte, error) {
	all := make(map[string][]byte)
	for i := range c.Routes {
		r := &c.Routes[i]
		if r.Schema == "" {
			continue
		}
		text, err := os.ReadFile(r.Schema)
		if err != nil { // it was read a moment ago
			return nil, configs.Problems{{Key: fmt.Sprintf("routes[%d].schema", i), Text: "the file cannot be read any more: run the command again"}}
		}
		all[r.Name] = text
	}
	return all, nil
}

func (p *program) printDescription(d *openapi.Document, asJSON bool) error {
	write := d.YAML
	if asJSON {
		write = d.JSON
	}
	out, err := write()
	if err != nil {
		return err
	}
	_, err = p.out.Write(out)
	return err
}
