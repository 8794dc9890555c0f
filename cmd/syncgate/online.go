package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"syncgate/configs"
	"syncgate/correlator"
	"syncgate/correlator/redis"
	"syncgate/internal/upstream"
)

// onlineTimeout bounds each step of check --online.
const onlineTimeout = 5 * time.Second

// errOnline is the end of a report that has errors.
const errOnline = usageError("each line above that begins with error keeps the gateway from serving: correct it and check again")

// online looks at everything around a gateway that has this configuration.
func (p *program) online(c *configs.Config, warnings []configs.Warning) error {
	r := newFindings(showOnline(p.out))
	r.warnings(warnings)
	r.redis(c)
	if c.UsesDefaultEngine() {
		r.clock(c, r.engine(c, p.getenv))
	}
	r.otherEngines(c, p.getenv)
	r.callback(c)
	r.files(c)
	if r.count[isProblem] > 0 {
		return errOnline
	}
	return nil
}

func (r *findings) warnings(all []configs.Warning) {
	for _, w := range all {
		key, text, _ := strings.Cut(string(w), ": ")
		r.warn(key, "%s", text)
	}
}

// redis reports whether Redis can be used.
func (r *findings) redis(c *configs.Config) (usable bool) {
	if c.Correlator.Backend != configs.Redis {
		r.ok("correlator.backend", "memory, one process: there is no Redis to ask")
		return false
	}
	const key = "correlator.redis.url"
	ctx, cancel := context.WithTimeout(context.Background(), onlineTimeout)
	defer cancel()
	began := time.Now()
	goredis.SetLogger(driverLog{zerolog.Nop()}) // it would write lines of its own to the standard error
	warnings, err := redis.Examine(ctx, c.Redis())
	if err != nil {
		text := err.Error()
		if unready, ok := errors.AsType[*correlator.Unready](err); ok && unready.Do != "" {
			text += ": " + unready.Do
		}
		r.fail(key, "%s; the gateway starts, and is not ready until this is mended", text)
		return false
	}
	r.ok(key, "Redis answers, after %v", rounded(time.Since(began)))
	for _, w := range warnings {
		r.warn("correlator.redis", "%s", w)
	}
	return true
}

// engineTime is the engine's clock, as far as it was said.
type engineTime struct {
	date     time.Time // zero: not known
	asked    time.Time
	answered time.Time
}

// engine connects to the engine as the gateway does, and wants any answer in HTTP.
func (r *findings) engine(c *configs.Config, getenv func(string) (string, bool)) (at engineTime) {
	const key = "engine.url"
	proxy, from, err := engineProxy(c, getenv)
	if err != nil {
		r.fail(from, "%v", err)
		return at
	}
	way := ""
	if proxy != nil {
		way = fmt.Sprintf(" through the proxy %s (%s)", proxy.Host, from)
	}
	ctx, cancel := context.WithTimeout(context.Background(), onlineTimeout)
	defer cancel()
	conn, err := upstream.Dial(ctx, upstream.Config{URL: c.Engine.URL, Proxy: proxy})
	if err != nil {
		r.fail(key, "%v%s; check the URL, the firewall, and whether a proxy is needed (engine.proxy)", err, way)
		return at
	}
	defer func() { _ = conn.Close() }() // it was only asked
	u, err := url.Parse(c.Engine.URL)
	if err != nil {
		return at // a valid configuration has one
	}
	at.asked = time.Now()
	_ = conn.SetDeadline(at.asked.Add(onlineTimeout)) // an error is the next write's
	_, _ = fmt.Fprintf(conn, "GET %s/ HTTP/1.1\r\nHost: %s\r\nUser-Agent: syncgate-check\r\nConnection: close\r\n\r\n", strings.TrimRight(u.EscapedPath(), "/"), u.Host)
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 1<<20)), nil)
	if err != nil {
		r.fail(key, "connects%s, but %v; is the port right, and does it want https?", way, unanswered(err))
		return at
	}
	at.answered = time.Now()
	_ = answer.Body.Close() // what it says does not matter
	at.date, _ = http.ParseTime(answer.Header.Get("Date"))
	if answer.StatusCode >= http.StatusInternalServerError {
		r.warn(key, "answers%s, but with status %d: is the engine up behind its balancer?", way, answer.StatusCode)
		return at
	}
	r.ok(key, "answers%s, after %v", way, rounded(at.answered.Sub(at.asked)))
	return at
}

// otherEngines connects to each engine beside the default one. It sends nothing: a request may be the start of some work.
func (r *findings) otherEngines(c *configs.Config, getenv func(string) (string, bool)) {
	for i := range c.Engines {
		e := c.Engines[i].HTTP()
		at := fmt.Sprintf("engines[%d]", i)
		proxy, from, err := proxyOf(at, e.Connection(), getenv)
		if err != nil {
			r.fail(from, "%v", err)
			continue
		}
		root, _, _ := strings.Cut(e.URL, "{") // a parameter of a route may follow the host
		ctx, cancel := context.WithTimeout(context.Background(), onlineTimeout)
		conn, err := upstream.Dial(ctx, upstream.Config{URL: root, Proxy: proxy})
		cancel()
		if err != nil {
			r.fail(at+".url", "%v; start the engine %s, or check its URL, the firewall, and whether a proxy is needed (%s.proxy)", err, e.Name, at)
			continue
		}
		_ = conn.Close() // nothing was asked
		r.ok(at+".url", "the engine %s takes connections", e.Name)
	}
}

const clockTolerance = 5 * time.Second

// clock compares our clock with the engine's: both sign the time, and refuse what is too far off.
func (r *findings) clock(c *configs.Config, at engineTime) {
	if at.answered.IsZero() {
		r.warn("clock", "was not compared, as the engine has not answered")
		return
	}
	if at.date.IsZero() {
		r.warn("clock", "the engine has not said its time, so ours was not compared: let NTP set it, as signatures hold a time")
		return
	}
	// The header has whole seconds: the engine's clock was within the second that follows, and the exchange took its time.
	var off time.Duration
	switch early, late := at.asked.Sub(at.date.Add(time.Second)), at.date.Sub(at.answered); {
	case early > 0:
		off = early
	case late > 0:
		off = -late
	}
	direction := "ahead of"
	if off < 0 {
		direction = "behind"
	}
	size := off.Abs().Round(time.Second)
	switch {
	case c.Auth.Window > 0 && size >= c.Auth.Window:
		r.fail("clock", "ours is %v %s the engine's, and auth.window is %v: set it by NTP, signatures are refused otherwise", size, direction, c.Auth.Window)
	case size > clockTolerance:
		r.warn("clock", "ours is %v %s the engine's: set it by NTP", size, direction)
	default:
		r.ok("clock", "agrees with the engine's")
	}
}

// nobody is in the place of a callback's token, and is none.
const nobody = "syncgate-check-online"

// callback asks the callback URL as an engine would, from here. A gateway answers such a request with 404, or with 405 for its method, and
// an empty object.
func (r *findings) callback(c *configs.Config) {
	const key = "callback.base_url"
	ctx, cancel := context.WithTimeout(context.Background(), onlineTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Callback.CallbackURL()+nobody, nil)
	if err != nil {
		r.fail(key, "is no URL that can be asked")
		return
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	answer, err := client.Do(req)
	if err != nil {
		r.warn(key, "%v; start the gateway and check again, and look at DNS, the firewall and the balancer: the engine calls this URL", unanswered(err))
		return
	}
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 16))
	_ = answer.Body.Close() // it has been read
	ours := answer.StatusCode == http.StatusNotFound || answer.StatusCode == http.StatusMethodNotAllowed
	switch {
	case ours && string(body) == "{}":
		r.ok(key, "leads to a gateway, seen from this machine")
	case answer.StatusCode/100 == 3:
		r.warn(key, "is redirected with status %d, and engines may not follow: write the URL that it leads to", answer.StatusCode)
	default:
		r.warn(key, "something answers with status %d that is no gateway: let it lead /api/1/plugins/callback/ to this one", answer.StatusCode)
	}
}

// spareFiles is what a gateway has open beside the connections of clients that wait and those to the engine.
const spareFiles = 200

// filesNeeded is how many files a gateway has open where as many clients wait as may, and every connection to the engines is open.
func filesNeeded(c *configs.Config) int {
	need := c.Limits.Parked + c.Engine.MaxConnections + spareFiles
	for i := range c.Engines {
		need += c.Engines[i].HTTP().Connection().MaxConnections
	}
	return need
}

func (r *findings) files(c *configs.Config) {
	const key = "limits.parked"
	have, need := openFiles(), filesNeeded(c)
	switch {
	case have == 0:
		r.ok(key, "the number of open files is not limited")
	case c.Limits.Parked == 0:
		r.warn(key, "is 0, no limit, and a process here may have %d files open: each client that waits is one", have)
	case have < need:
		r.warn(key, "is %d, and a process here may have %d files open, of which each client that waits is one: raise the limit to %d (LimitNOFILE of systemd, "+
			"ulimit -n of a shell) or lower limits.parked", c.Limits.Parked, have, need)
	default:
		r.ok(key, "%d clients fit into the %d files that a process here may have open", c.Limits.Parked, have)
	}
}

func rounded(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
