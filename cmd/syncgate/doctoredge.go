package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"syncgate/internal/edge"
	"syncgate/internal/probe"
	"syncgate/internal/setting"
)

// edgeMeasures are what was measured at a URL, for --json.
type edgeMeasures struct {
	URL      string        `json:"url"`
	Longest  float64       `json:"longest_s"`           // that a client may wait
	Held     float64       `json:"held_s"`              // that was tried
	Cut      float64       `json:"cut_after_s"`         // 0: no connection was ended
	Proxy    edge.Proxy    `json:"proxy,omitempty"`     // that was recognised
	Buffers  bool          `json:"buffers"`             // events are kept back
	HalfOpen bool          `json:"answers_half_closed"` // a client that has closed its side gets its answer
	Probes   []probeResult `json:"probes"`
}

type probeResult struct {
	Wait   float64 `json:"wait_s"`
	Lasted float64 `json:"lasted_s"`
	Status int     `json:"status"` // 0: the connection ended
	Whole  bool    `json:"answered"`
}

// clientURL gives the URL at which clients reach the gateway, and the key that says so.
func (d *checkup) clientURL() (u *url.URL, key string) {
	if d.url != nil {
		return d.url, "--url"
	}
	text, key := d.c.Listen.PublicURL, "listen.public_url"
	if text == "" && d.c.Listen.Callback == "" { // callbacks and clients come to one listener
		text, key = d.c.Callback.BaseURL, "callback.base_url"
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, key
	}
	return u, key
}

// sent are the fields that clients send, and that proxies may drop.
func sent() [][2]string {
	return [][2]string{
		{"Accept", "application/json"},
		{"Authorization", "Bearer syncgate-doctor"},
		{"Idempotency-Key", "syncgate-doctor"},
		{"Last-Event-Id", "7"},
		{"Prefer", "respond-async, wait=5"},
		{"X-Request-Id", "syncgate-doctor"},
		{"X-Api-Key", "syncgate-doctor"},
		{"Webhook-Id", "syncgate-doctor"},
	}
}

// strangePath stands behind a token, and is to arrive as it is.
const strangePath = "/%7Ea%2Fb//c?q=%2b&q=%20"

// examineEdge measures what stands between clients and the gateway.
func (d *checkup) examineEdge(ctx context.Context) {
	if !d.wants("edge") || d.keys == nil && len(d.only) == 0 {
		return
	}
	base, key := d.clientURL()
	switch {
	case d.keys == nil:
		d.add(isWarning, "callback.keys", "set callback.keys or callback.keys_file", "there are none, so no connection can be held at the edge")
		return
	case base == nil:
		d.add(isWarning, "listen.public_url", "set listen.public_url, or run doctor with --url", "is empty: the edge was not examined, as nobody says where clients reach the gateway")
		return
	}
	w := d.way(base, probe.ClientPath)
	a := edge.New(probe.Say, 0)
	a.Rest, a.Header = strangePath, sent()
	h := w.Send(ctx, a)
	if !h.Proven { // a proxy may refuse the path, and it is not known yet which one
		plainly := edge.New(probe.Say, 0)
		plainly.Header = sent()
		if h = w.Send(ctx, plainly); !d.reached(key, w, &h) {
			return
		}
		h.Answer.Rest = ""
	}
	d.answerer(key, &h)
	d.carried(key, &h)
	d.hold(ctx, w, key, &h)
}

// carried says what has become of a request on its way.
func (d *checkup) carried(key string, h *edge.Heard) {
	a, proxy := &h.Answer, cmp.Or(h.Proxy(), edge.Recognise(map[string][]string{"Via": {h.Answer.Headers["Via"]}}, ""))
	var lost []string
	for _, field := range sent() {
		if a.Headers[field[0]] != field[1] {
			lost = append(lost, field[0])
		}
	}
	for _, name := range []string{"X-Request-Id", "Preference-Applied", "Retry-After", "X-Syncgate-Forwarded"} {
		if h.Header.Get(name) == "" {
			lost = append(lost, name+" of answers")
		}
	}
	if len(lost) > 0 {
		d.add(isProblem, key, "have "+proxy.Name()+" hand these headers on", "headers are lost or changed on the way: %s", strings.Join(lost, ", "))
	} else {
		d.ok(key, "headers pass")
	}
	if a.Rest != strangePath {
		d.add(isWarning, key, proxy.KeepPath()+" (else parameters of routes arrive changed)", "a path with %%2F, %%7E or // does not arrive as it was sent")
	}
	if a.Protocol == "HTTP/1.0" {
		do := "have the proxies on the way speak HTTP/1.1 with the gateway"
		if proxy == edge.Nginx {
			do = `nginx: proxy_http_version 1.1; and proxy_set_header Connection "";`
		}
		d.add(isWarning, key, do, "requests reach the gateway in HTTP/1.0: each has a connection of its own, and a stream that was cut looks like one that has ended")
	}
	d.client(h)
}

// client says whom the gateway takes for the client.
func (d *checkup) client(h *edge.Heard) {
	forwarded := h.Answer.Headers["X-Forwarded-For"]
	if forwarded == "" {
		return
	}
	says := strings.Split(forwarded, ",")
	if net.ParseIP(strings.TrimSpace(says[len(says)-1])) == nil || strings.TrimSpace(says[len(says)-1]) == h.Answer.Client {
		return
	}
	if !slices.ContainsFunc(says, func(one string) bool { return strings.TrimSpace(one) == h.Answer.Client }) {
		d.add(isWarning, "listen.trusted_proxies", "add "+h.Answer.Client+" to listen.trusted_proxies, if it is your proxy's",
			"the gateway takes %s for the client, and its X-Forwarded-For names %s: the log and limits for each address have the proxy", h.Answer.Client,
			strings.TrimSpace(says[len(says)-1]))
	}
}

// hold has probes held through a way, and adds a finding for each thing that they show.
func (d *checkup) hold(ctx context.Context, w *edge.Way, key string, first *edge.Heard) {
	most, _ := longest(d.c)
	most = min(most.Round(time.Second), probe.MaxWait)
	held := most
	if d.wait > 0 {
		held = min(held, d.wait.Round(time.Second))
	}
	held = max(held, time.Second)
	shown := d.progress(held)
	r := w.Measure(ctx, edge.Plan{Longest: held, Body: min(d.mostBody(), mostTried), Streams: len(d.c.Routes) > 0})
	shown.end()
	if ctx.Err() != nil {
		return
	}
	d.edges = append(d.edges, measured(w, most, held, &r, first))
	d.judgeCut(ctx, w, key, &r, first)
	d.judgeStreams(key, held, &r, first)
	d.judgeBody(key, "limits.body", min(d.mostBody(), mostTried), &r.Body)
	switch r.Aborts {
	case edge.AbortHeard:
		d.ok(key, "the gateway hears of a client that leaves")
	case edge.AbortHidden:
		d.add(isWarning, key, first.Proxy().ForwardAbort()+" (else such a client keeps its place in limits.parked until its answer or its deadline)",
			"the gateway does not hear of a client that leaves while it waits")
	case edge.AbortUnknown:
	}
}

// mostBody is how many bytes a request of a client may have.
func (d *checkup) mostBody() int64 {
	most := d.c.Limits.Body
	for i := range d.c.Routes {
		most = max(most, d.c.Routes[i].Limits.Body)
	}
	return int64(most)
}

// margin is how much longer a proxy should wait than a client may.
func margin(d time.Duration) time.Duration { return d + max(15*time.Second, d/10) }

// judgeCut says whether connections that wait are ended, and by whom.
func (d *checkup) judgeCut(ctx context.Context, w *edge.Way, key string, r *edge.Results, first *edge.Heard) {
	most, from := longest(d.c)
	if r.Refused() {
		d.add(isWarning, key, "run doctor again when no other doctor runs and the gateway does not end", "the gateway has not held every probe")
	}
	cut, was := r.Cut()
	if !was {
		d.uncut(key, r.Tried())
		return
	}
	proxy, ends := cmp.Or(cut.By, first.Proxy()), "ends the connection"
	if cut.Status != 0 {
		ends = fmt.Sprintf("answers with %d in place of the gateway", cut.Status)
	}
	here, reached := d.stillReached(ctx, w)
	switch {
	case !here && !reached:
		d.add(isProblem, key, "run doctor again when it is up", "connections ended after %s, and the gateway is not reached any more: it, or a proxy, has stopped", setting.FormatDuration(cut.After))
		return
	case !cut.Steady:
		d.add(isProblem, key, "look for limits of connections, for restarts and for several proxies with different time-outs",
			"%s ended while they waited, the first after %s, but not all that waited for longer", count(cut.Of, "connection"), setting.FormatDuration(cut.After))
		d.judgeRepeats(ctx, w, key, r.LastCut().ID, proxy)
		return
	}
	do := proxy.RaiseWait(margin(most))
	if shorter := cut.After - 5*time.Second; shorter > 0 {
		do += fmt.Sprintf(" (or lower %s to %s)", from, setting.FormatDuration(shorter))
	}
	d.add(isProblem, key, do, "%s %s after %s, and a client may wait for %s (%s)", proxy.Name(), ends, setting.FormatDuration(cut.After), setting.FormatDuration(most), from)
	if !reached {
		d.add(isWarning, key, "have the proxies on the way not take a gateway for down whose answer did not come (nginx: max_fails=0)",
			"after that the gateway was not reached, although it runs: a proxy takes it for down")
	}
	d.judgeRepeats(ctx, w, key, r.LastCut().ID, proxy)
}

// uncut says that no connection was ended that waited for up to a time; 0: none has waited.
func (d *checkup) uncut(key string, tried time.Duration) {
	most, from := longest(d.c)
	do := ""
	switch {
	case tried == 0:
		return
	case tried >= most.Round(time.Second):
	case tried == probe.MaxWait:
		do = fmt.Sprintf("a client may wait for %s (%s), and doctor holds no connection for longer than this", setting.FormatDuration(most), from)
	case d.wait > 0:
		do = fmt.Sprintf("to try the longest wait, %s of %s, leave --wait out", setting.FormatDuration(most), from)
	}
	d.add(isOK, key, do, "no connection was ended that waited for up to %s", setting.FormatDuration(tried))
}

// stillReached reports whether the gateway answers on this machine, and by a way.
func (d *checkup) stillReached(ctx context.Context, w *edge.Way) (here, reached bool) {
	if local, ok := d.wayHere(); ok && d.node != nil {
		h := local.Send(ctx, edge.New(probe.Say, 0))
		here = h.Proven
	}
	h := w.Send(ctx, edge.New(probe.Say, 0))
	return here, h.Proven
}

// judgeRepeats says whether a probe that was cut came to the gateways more than once.
func (d *checkup) judgeRepeats(ctx context.Context, w *edge.Way, key string, id probe.ID, proxy edge.Proxy) {
	ways := []*edge.Way{w}
	if here, ok := d.wayHere(); ok {
		ways = append(ways, here)
	}
	if n := edge.Times(ctx, id, ways...); n > 1 {
		d.add(isProblem, key, proxy.SendOnce()+" (else the task of such a client is made twice)",
			"a proxy has sent a POST again whose answer did not come: the gateways had it %d times", n)
	}
}

// judgeStreams says whether events arrive as they are sent, and for how long.
func (d *checkup) judgeStreams(key string, held time.Duration, r *edge.Results, first *edge.Heard) {
	if len(d.c.Routes) == 0 || r.Stream.Refused() {
		return // without routes there are no streams, and a stream that the gateway refused shows nothing
	}
	proxy, beat := cmp.Or(r.Stream.Proxy(), first.Proxy()), d.c.Listen.Heartbeat
	switch {
	case r.Keeps():
		d.add(isProblem, key, proxy.Unbuffer(), "%s keeps events back: one came %v late", proxy.Name(), r.Lag().Round(100*time.Millisecond))
	case !r.Stream.Whole:
		d.add(isProblem, key, proxy.Unbuffer(), "a stream of events was cut after %v", rounded(r.Stream.Took))
	default:
		d.ok(key, "events arrive as they are sent")
	}
	lasted := r.Beat.Took.Round(time.Second)
	switch {
	case !r.Stream.Whole, r.Beat.Whole, r.Beat.Refused():
	case lasted <= beat:
		d.add(isProblem, key, fmt.Sprintf("lower listen.heartbeat to %s, or %s", setting.FormatDuration(max(lasted/2, time.Second)), proxy.RaiseWait(margin(beat))),
			"a stream of events was cut after %s without an event: listen.heartbeat is %s", setting.FormatDuration(lasted), setting.FormatDuration(beat))
	default:
		d.add(isProblem, key, proxy.RaiseWait(margin(held)), "a stream of events was cut after %s, although it had an event every %s", setting.FormatDuration(lasted), setting.FormatDuration(beat))
	}
}

// measured gives what --json shows.
func measured(w *edge.Way, most, held time.Duration, r *edge.Results, first *edge.Heard) edgeMeasures {
	m := edgeMeasures{URL: w.URL.Redacted(), Longest: most.Seconds(), Held: held.Seconds(), Proxy: first.Proxy(), Buffers: r.Keeps(), HalfOpen: r.HalfClosed}
	if cut, was := r.Cut(); was {
		m.Cut, m.Proxy = cut.After.Seconds(), cmp.Or(cut.By, m.Proxy)
	}
	for i := range r.Held {
		h := &r.Held[i]
		m.Probes = append(m.Probes, probeResult{h.Wait.Seconds(), h.Heard.Took.Round(time.Millisecond).Seconds(), h.Heard.Status, h.Answered()})
	}
	return m
}

// progress shows on a terminal how far the probes are.
type progress struct {
	d    *checkup
	last time.Duration
	done chan struct{}
	over chan struct{}
}

// progress starts to show it. The caller ends it.
func (d *checkup) progress(held time.Duration) *progress {
	p := &progress{d: d, last: held, done: make(chan struct{}), over: make(chan struct{})}
	if d.quiet {
		close(p.over)
		return p
	}
	go p.run()
	return p
}

// run writes a line again each second, until end.
func (p *progress) run() {
	defer close(p.over)
	began, tick := time.Now(), time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		fmt.Fprintf(p.d.p.err, "\rholding connections at the edge: %s of at most %s ", time.Since(began).Round(time.Second), p.last)
		select {
		case <-tick.C:
		case <-p.done:
			fmt.Fprintf(p.d.p.err, "\r%s\r", strings.Repeat(" ", 70))
			return
		}
	}
}

func (p *progress) end() {
	close(p.done)
	<-p.over
}
