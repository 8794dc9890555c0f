package enginesim

import (
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Config of an Engine. Start from Default.
type Config struct {
	// Listen is the address that takes packages, host:port; port 0 takes a free one.
	Listen string
	// Credentials are the secrets by login. With none, signatures are not looked at.
	Credentials map[string]string

	// Behaviour is what happens to a task that does not say otherwise.
	Behaviour Behaviour
	// Steer lets a task say otherwise, in the member __sim of its data.
	Steer bool
	// Rewrite sends callbacks for one host:port to another ("*" for any other), so that they reach another node.
	Rewrite map[string]string

	Workers         int           // callbacks in flight at once, and connections kept for them
	Pending         int           // callbacks that are delayed, queued or in flight; creates beyond are refused
	Connections     int           // accepted at once
	MaxBody         int           // largest package, bytes
	Idle            time.Duration // an idle connection is closed after it
	CallbackTimeout time.Duration // for one callback, connecting included

	// Split sends the head and the body of a callback in two segments, as some clients do.
	Split bool

	// Roots verify the certificate of an https callback URL; nil: the system's.
	Roots *x509.CertPool

	// Record keeps the last so many packages and as many tasks for tests to look at; 0 keeps none.
	Record int
}

// Default is a well-behaved engine on a free port of the loopback that knows no login.
func Default() Config {
	return Config{
		Listen: "127.0.0.1:0",
		Behaviour: Behaviour{
			Ack: AckOK, Callback: CallbackAfter, Method: "POST", Format: FormatJSON,
			Retries: 5, RetryDelay: time.Second, // the usual process repeats after 30 s, for ever
		},
		Steer:           true,
		Workers:         256,
		Pending:         100_000,
		Connections:     10_000,
		MaxBody:         16 << 20, // the vendor's own front has this limit
		Idle:            time.Minute,
		CallbackTimeout: time.Minute, // an API Call node waits that long
	}
}

// Validate lists every problem, each with the name of its flag.
func (c *Config) Validate() error {
	problems := c.Behaviour.validate()
	if _, port, err := net.SplitHostPort(c.Listen); err != nil || !isPort(port) {
		problems = append(problems, errors.New("listen: must be an address such as 127.0.0.1:9000, with a port of at most 65535"))
	}
	for from, to := range c.Rewrite {
		if _, _, err := net.SplitHostPort(to); err != nil {
			problems = append(problems, fmt.Errorf("rewrite: %s=%s does not end in host:port", from, to))
		}
	}
	for _, n := range []struct {
		name         string
		value, least int
	}{
		{"workers", c.Workers, 1},
		{"pending", c.Pending, 1},
		{"connections", c.Connections, 1},
		{"max-body", c.MaxBody, 1},
		{"record", c.Record, 0},
	} {
		if n.value < n.least {
			problems = append(problems, fmt.Errorf("%s: %d is less than %d", n.name, n.value, n.least))
		}
	}
	if c.Idle <= 0 {
		problems = append(problems, errors.New("idle: must be longer than 0: write 500ms, 30s, 5m"))
	}
	if c.CallbackTimeout <= 0 {
		problems = append(problems, errors.New("callback-timeout: must be longer than 0: write 500ms, 30s, 5m"))
	}
	return errors.Join(problems...)
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// Flags defines a flag for every field, whose default is the field's present value.
func (c *Config) Flags(fs *flag.FlagSet) {
	fs.StringVar(&c.Listen, "listen", c.Listen, "`address` that takes packages, host:port; port 0 takes a free one")
	fs.Func("credential", "`login:secret` that may sign packages; repeatable; with none, signatures are not looked at", c.credential)
	fs.BoolVar(&c.Steer, "steer", c.Steer, "let a task choose its own behaviour in the member __sim of its data")
	fs.Func("rewrite", "`from=to`, host:port each: send callbacks for one to the other, \"*\" for any; repeatable", c.rewrite)
	fs.Func("ca-file", "PEM `file` of certificates that verify an https callback URL, instead of the system's", c.roots)
	fs.BoolVar(&c.Split, "split", c.Split, "send the head and the body of a callback in two segments")
	fs.IntVar(&c.Workers, "workers", c.Workers, "callbacks in flight at once")
	fs.IntVar(&c.Pending, "pending", c.Pending, "callbacks that may be delayed, queued or in flight; creates beyond are refused")
	fs.IntVar(&c.Connections, "connections", c.Connections, "connections accepted at once")
	fs.IntVar(&c.MaxBody, "max-body", c.MaxBody, "largest package, `bytes`")
	fs.DurationVar(&c.Idle, "idle", c.Idle, "an idle connection is closed after it")
	fs.DurationVar(&c.CallbackTimeout, "callback-timeout", c.CallbackTimeout, "time for one callback")
	fs.IntVar(&c.Record, "record", c.Record, "keep the last `n` packages and tasks in memory; 0 keeps none")
	c.Behaviour.flags(fs)
}

// flags names with each flag its member in __sim.
func (b *Behaviour) flags(fs *flag.FlagSet) {
	text := func(p *string, name, usage string) { fs.StringVar(p, name, *p, usage) }
	span := func(p *time.Duration, name, usage string) { fs.DurationVar(p, name, *p, usage) }
	count := func(p *int, name, usage string) { fs.IntVar(p, name, *p, usage) }

	text((*string)(&b.Ack), "ack", fmt.Sprintf("how a create is answered, one of %v (__sim: ack)", Acks()))
	span(&b.AckDelay, "ack-delay", "time that the answer takes (__sim: ack_delay_ms)")
	text((*string)(&b.Callback), "callback", "`when` the engine calls back, relative to its own answer: after, before, never (__sim: callback)")
	fs.TextVar(&b.Delay, "delay", b.Delay, "time that a task takes, 50ms or a `range` 20ms-50ms (__sim: delay_ms, 50 or [20, 50])")
	count(&b.Duplicates, "duplicates", "repeat every callback `n` times (__sim: duplicates)")
	span(&b.Gap, "gap", "time between the repeated ones; 0 lets them race (__sim: gap_ms)")
	text(&b.Method, "method", "of callbacks; GET, HEAD and DELETE carry the result in the query (__sim: method)")
	text((*string)(&b.Format), "format", "of callbacks: json, form, xml, corezoid, empty (__sim: format)")
	text(&b.ContentType, "content-type", "of callbacks, instead of the format's own (__sim: content_type)")
	text(&b.Body, "body", "result instead of the task's data: {{data}}, {{obj_id}}, {{ref}}, {{n}} are replaced (__sim: body, any JSON value)")
	text(&b.To, "to", "`host:port` that is called instead of the callback URL's own (__sim: to)")
	fs.BoolVar(&b.SendSys, "send-sys", b.SendSys, "append conv_signature, conv_time and conv_id to the query of callbacks (__sim: send_sys)")
	count(&b.Retries, "retries", "repeat a callback that got no answer or a 5xx up to `n` times (__sim: retries)")
	span(&b.RetryDelay, "retry-delay", "time before each of these (__sim: retry_delay_ms)")
}

func (c *Config) credential(s string) error {
	login, secret, ok := strings.Cut(s, ":")
	if !ok || login == "" || secret == "" {
		return errors.New("login:secret is needed")
	}
	if c.Credentials == nil {
		c.Credentials = make(map[string]string)
	}
	c.Credentials[login] = secret
	return nil
}

func (c *Config) rewrite(s string) error {
	from, to, ok := strings.Cut(s, "=")
	if !ok {
		return errors.New("from=to is needed")
	}
	if c.Rewrite == nil {
		c.Rewrite = make(map[string]string)
	}
	c.Rewrite[from] = to
	return nil
}

func (c *Config) roots(file string) error {
	pem, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		return fmt.Errorf("the file cannot be read: %w", err)
	}
	c.Roots = x509.NewCertPool()
	if !c.Roots.AppendCertsFromPEM(pem) {
		return errors.New("the file has no certificate in PEM")
	}
	return nil
}
