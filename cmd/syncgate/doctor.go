package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"syncgate/configs"
	"syncgate/correlator"
	"syncgate/internal/edge"
	"syncgate/internal/probe"
)

const doctorHelp = `Finds what is wrong around a running gateway, and says for each finding what to set. Run it where the gateway's configuration is: it reads
the same file and variables as serve. It looks at

  config     the configuration: what it cannot be used with, and what may not be meant
  engine     each engine: the way there, TLS, whether an engine answers, and how fast
  redis      Redis: whether it can be used, version, speed, settings that lose results, rights
  clock      this machine's clock against those of the engine, of Redis and of the gateway
  gateway    the running gateway, by its admin listener: ready, version, and settings that need a reload or a restart
  files      how many files the gateway's process may have open, and how many it needs
  callback   callback.base_url, as engines use it: name, TLS, redirects, and whether this gateway answers
  edge       the way of clients, by listen.public_url: it holds connections for as long as a client may wait, and finds after how many seconds
             a proxy ends them; whether events and bodies pass, and whether the gateway hears of a client that leaves

Each line begins with ok, warning or problem. The edge takes as long as the longest wait of the configuration, five minutes by default; --wait 90s
ends it earlier. It makes no task. Exit status: 0 where nothing is wrong, warnings aside; 1 with a problem; 2 where nothing can be examined.
`

// doctorParts are what can be examined, in this order.
var doctorParts = [...]string{"config", "engine", "redis", "clock", "gateway", "files", "callback", "edge"} // an array, and never changed

// checkup is one run of doctor.
type checkup struct {
	*findings
	p    *program
	c    *configs.Config
	only map[string]bool // the parts to be examined
	url  *url.URL        // of --url; nil: the configuration's
	wait time.Duration   // of --wait; 0: the longest of the configuration
	keys *correlator.Keys
	each []*correlator.Keys // one for each callback key

	engine engineTime
	node   *probe.Answer  // of the gateway on this machine; nil: it could not be asked
	redisT *clockReading  // nil: not known
	gateT  *clockReading  // of the gateway; nil: not known
	edges  []edgeMeasures // for --json
	quiet  bool           // no progress
}

func diagnose(p *program, fs *flag.FlagSet, args []string) error {
	path := configFlag(fs)
	only := fs.String("only", "", "`parts` to examine, separated by commas: "+strings.Join(doctorParts[:], ","))
	public := fs.String("url", "", "`URL` at which clients reach the gateway; empty: listen.public_url, or else callback.base_url")
	wait := fs.Duration("wait", 0, "the longest `time` that a probe is held at the edge, at most 10m; 0: the longest wait of the configuration")
	raw := fs.Bool("json", false, "print the findings in JSON, at the end")
	if err := parseConfigFlags(fs, args); err != nil {
		return err
	}
	_, _, terminal := terminalSize(p.err)
	d := &checkup{p: p, wait: *wait, quiet: *raw || !terminal}
	if err := d.flags(*only, *public); err != nil {
		return err
	}
	all := []finding{} // in JSON it is a list, if an empty one
	show := showRow(p.out)
	if *raw {
		show = func(f finding) { all = append(all, f) }
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	d.findings = newFindings(show)
	d.over = ctx.Done()
	err := d.examine(ctx, *path)
	if *raw {
		if err := d.printJSON(all); err != nil {
			return err
		}
	}
	return err
}

// flags reads the flags that are more than a value.
func (d *checkup) flags(only, public string) (err error) {
	d.only = make(map[string]bool)
	for _, part := range strings.FieldsFunc(only, func(c rune) bool { return c == ',' || c == ' ' }) {
		if !slices.Contains(doctorParts[:], part) {
			return usageError(fmt.Sprintf("--only: there is no part %q, there is %s", part, strings.Join(doctorParts[:], ", ")))
		}
		d.only[part] = true
	}
	if d.wait < 0 || d.wait > probe.MaxWait || d.wait > 0 && d.wait < time.Second {
		return usageError("--wait must be from 1s to 10m, or 0 for the longest wait of the configuration")
	}
	if public == "" {
		return nil
	}
	if d.url, err = url.Parse(public); err != nil || d.url.Host == "" || d.url.Scheme != "http" && d.url.Scheme != "https" {
		return usageError("--url must be an http or https URL such as https://sync.example.com")
	}
	return nil
}

// wants reports whether a part is to be examined, and makes it that of the findings that follow.
func (d *checkup) wants(part string) bool {
	d.part = part
	return len(d.only) == 0 || d.only[part]
}

// errUnexamined is for a configuration that cannot be used.
const errUnexamined = usageError("nothing else was examined, as the configuration cannot be used: syncgate check shows each problem with its line")

// errInterrupted ends a run that a signal has ended.
const errInterrupted = usageError("ended by a signal: not everything was examined")

// examine goes through the parts.
func (d *checkup) examine(ctx context.Context, path string) error {
	c, warnings, err := d.p.config(path)
	d.part = "config"
	if problems, ok := errors.AsType[configs.Problems](err); ok {
		for _, p := range problems {
			place := configs.Problem{File: p.File, Line: p.Line, Variable: p.Variable, Text: p.Text} // it words where the key was written
			d.fail(cmp.Or(p.Key, "configuration"), "%s", place.Error())
		}
		return errUnexamined
	}
	if err != nil {
		return usageError(err.Error())
	}
	d.c = c
	if d.wants("config") {
		d.warnings(warnings)
		if len(warnings) == 0 {
			d.ok("configuration", "has no problem")
		}
	}
	if err := d.readKeys(); err != nil {
		return usageError(err.Error())
	}
	for _, part := range []func(context.Context){
		d.engines, d.examineRedis, d.examineGateway, d.examineFiles, d.examineCallback, d.examineClocks, d.examineEdge,
	} {
		if part(ctx); ctx.Err() != nil {
			return errInterrupted
		}
	}
	return d.sum()
}

// readKeys reads the callback keys, which prove to a gateway that a probe is doctor's.
func (d *checkup) readKeys() (err error) {
	keys := d.c.CallbackKeys()
	if len(keys) == 0 {
		return nil
	}
	if d.keys, err = correlator.NewKeys(keys); err != nil {
		return err
	}
	for _, key := range keys {
		one, err := correlator.NewKeys([]string{key})
		if err != nil {
			return err
		}
		d.each = append(d.each, one)
	}
	return nil
}

// sum says how much is wrong.
func (d *checkup) sum() error {
	problems, warnings := count(d.count[isProblem], "problem"), count(d.count[isWarning], "warning")
	if d.count[isProblem] == 0 {
		if !d.quiet {
			fmt.Fprintf(d.p.err, "nothing is wrong, %s\n", warnings)
		}
		return nil
	}
	return fmt.Errorf("%s, %s: each line that begins with problem says what to set", problems, warnings)
}

func (d *checkup) printJSON(all []finding) error {
	out, err := json.MarshalIndent(struct {
		Problems int            `json:"problems"`
		Warnings int            `json:"warnings"`
		Findings []finding      `json:"findings"`
		Edge     []edgeMeasures `json:"edge,omitempty"`
	}{d.count[isProblem], d.count[isWarning], all, d.edges}, "", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(d.p.out, "%s\n", out)
	return nil
}

// way makes a way to a gateway.
func (d *checkup) way(base *url.URL, path string) *edge.Way {
	return &edge.Way{URL: base, Path: path, Keys: d.keys}
}
