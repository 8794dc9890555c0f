// Package doctor answers the probes of syncgate doctor: it holds their connections, as those of clients that wait, without a task and without an engine.
//
// # Who can send probes
//
// A probe's path has a token that was made with a callback key (package probe). A path with another token is none of this dialect's: the gateway
// answers that there is no such path, as for any other, and no body is read.
//
// # Bounds
//
//	connections     probe.MaxHeld at the same time, with a goroutine each, for probe.MaxWait at most
//	a token's life  probe.MaxLife: the gateway refuses one that claims to be good for longer
//	remembered      the last mostSeen probes that were held, of which doctor can ask what has become
//	a body          of Say alone, as large as that of a client's request or of a callback. Say is answered at once, so the body is soon dropped
//
// A probe makes no trip: it is in no limit of clients, has no line in the log, and counts in no metric but those of requests by route. Close ends those
// that are held, so that a drain waits for none.
package doctor

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/probe"
)

const (
	// mostSeen is how many probes are remembered that are over.
	mostSeen = 64
	// sayTime is how long an answer may take that is given at once.
	sayTime = 5 * time.Second
	// streamEvery is how often a Stream has an event.
	streamEvery = time.Second
	// mostValue is how much of a header is repeated, in bytes.
	mostValue = 256
)

// Config is what the dialect says of its gateway. It may be replaced.
type Config struct {
	Node      string
	Version   string
	Settings  map[string]string // the digest of each setting, by its key; not to be changed
	Body      int64             // the most bytes of a client's request
	Heartbeat time.Duration     // of streams
}

// Dialect answers probes. New makes one.
type Dialect struct {
	// Set by New, read-only afterwards.
	keys    *correlator.Keys
	methods []string

	cfg   atomic.Pointer[Config]
	ended chan struct{} // closed by Close

	mu     sync.Mutex // guards what follows
	closed bool
	held   int
	seen   map[probe.ID]*fate
	order  []probe.ID // of seen, oldest first
}

// fate is what has become of a probe. Guarded by Dialect.mu.
type fate struct {
	times int // that it came: a proxy may have sent it again
	held  int // of those, now
	left  bool
}

var (
	_ dialect.Dialect         = (*Dialect)(nil)
	_ dialect.ResourceDialect = (*Dialect)(nil)
)

// New makes a Dialect. Tokens are those of keys.
func New(keys *correlator.Keys, cfg Config) *Dialect {
	d := &Dialect{keys: keys, methods: []string{fasthttp.MethodPost}, ended: make(chan struct{}), seen: make(map[probe.ID]*fate)}
	d.Set(cfg)
	return d
}

// Set replaces the Config.
func (d *Dialect) Set(cfg Config) { d.cfg.Store(&cfg) }

// Close ends the probes that are held, and refuses further ones.
func (d *Dialect) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.closed = true
		close(d.ended)
	}
}

// Name is what records would call the dialect. It makes none.
func (*Dialect) Name() string { return "doctor" }

// Route knows the paths of probes whose tokens were made with one of the keys, also when their time is over. Probes are held on the way of clients
// alone, and without a body: a gateway keeps the body of a request until it has answered, and a Report may have as many bytes as a callback.
func (d *Dialect) Route(path []byte) (r dialect.Route, ok bool) {
	token, _, callbacks, ok := probe.Split(path)
	if !ok {
		return dialect.Route{}, false
	}
	asked, ok := probe.Parse(token, d.keys)
	if !ok || callbacks && asked.Do.Held() {
		return dialect.Route{}, false
	}
	r = dialect.Route{Kind: dialect.Resource, Own: asked, Methods: d.methods, Wait: sayTime}
	switch {
	case asked.Do.Held():
		r.Wait, r.Watched = asked.Wait+sayTime, true
	case asked.Do == probe.Say:
		r.Body = d.cfg.Load().Body
	}
	if callbacks {
		r.Kind = dialect.Report
	}
	return r, true
}

// Accept refuses: there is nothing to create.
func (*Dialect) Accept(*fasthttp.Request, dialect.Route, time.Time) (*dialect.Call, error) {
	return nil, correlator.ErrForged
}

// Answer does nothing: the dialect makes no task.
func (*Dialect) Answer(*fasthttp.Response, *dialect.Call, *dialect.Reply) {}

// Refuse words a fault as plain text.
func (*Dialect) Refuse(dst *fasthttp.Response, f *dialect.Fault, _ string) {
	dst.Header.SetContentType("text/plain; charset=utf-8")
	dst.SetBodyString(f.Text)
}

// Resource answers a probe.
func (d *Dialect) Resource(ctx context.Context, dst *fasthttp.Response, req *fasthttp.Request, at dialect.ResourceCall) (login string, err error) {
	asked, ok := at.Route.Own.(probe.Request)
	if !ok {
		return "", correlator.ErrForged
	}
	if left := asked.Until.Sub(at.Now); left <= 0 || left > probe.MaxLife {
		return "", &dialect.Fault{Status: fasthttp.StatusGone, Text: "Gone: the time of this probe is over, or its clock is wrong"}
	}
	switch asked.Do {
	case probe.Hold:
		err = d.hold(ctx, asked)
	case probe.Stream, probe.Beat:
		return "", d.stream(ctx, dst, asked, at)
	case probe.Say, probe.Seen: // at once
	}
	if err != nil {
		return "", err
	}
	token, rest, _, _ := probe.Split(req.Header.RequestURI())
	return "", d.write(dst, string(token), d.answer(req, asked, at, string(rest)))
}

// answer says what was asked for.
func (d *Dialect) answer(req *fasthttp.Request, asked probe.Request, at dialect.ResourceCall, rest string) *probe.Answer {
	cfg := d.cfg.Load()
	a := &probe.Answer{Node: cfg.Node, Version: cfg.Version, Now: time.Now()}
	switch asked.Do {
	case probe.Say:
		a.Config, a.Rest, a.Client, a.Body = cfg.Settings, rest, at.Remote, int64(len(req.Body()))
		a.Protocol, a.Host = string(req.Header.Protocol()), string(req.Header.Host())
		a.Headers = make(map[string]string)
		for _, name := range probe.Looked() {
			if lines := req.Header.PeekAll(name); len(lines) > 0 {
				a.Headers[name] = string(lines[len(lines)-1][:min(mostValue, len(lines[len(lines)-1]))])
			}
		}
	case probe.Seen:
		d.mu.Lock()
		defer d.mu.Unlock()
		if f, found := d.seen[asked.ID]; found {
			a.Times, a.Held, a.Left = f.times, f.held, f.left
		}
	case probe.Hold, probe.Stream, probe.Beat: // that it was answered says all
	}
	return a
}

func (d *Dialect) write(dst *fasthttp.Response, token string, a *probe.Answer) error {
	body, err := a.Encode(token, d.keys)
	if err != nil {
		return err
	}
	// Headers that clients need of other answers: doctor looks whether they arrive.
	dst.Header.Set("Preference-Applied", "respond-async")
	dst.Header.Set("Retry-After", "1")
	dst.Header.Set("X-Syncgate-Forwarded", "no")
	dst.Header.SetContentType("application/json")
	dst.SetBody(body)
	return nil
}

// errHeld refuses a probe when as many are held as may.
var errHeld = &dialect.Fault{
	Status: fasthttp.StatusTooManyRequests, Text: "Too many probes: as many are held here as may, try again later", RetryAfter: time.Second,
}

// begin gives a probe a place among those that are held.
func (d *Dialect) begin(id probe.ID) (*fate, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, correlator.ErrDraining
	case d.held >= probe.MaxHeld:
		return nil, errHeld
	}
	f := d.seen[id]
	if f == nil {
		f = d.remember(id)
	}
	d.held++
	f.times++
	f.held++
	return f, nil
}

// remember makes room for what becomes of a probe. Called with mu held.
func (d *Dialect) remember(id probe.ID) *fate {
	if len(d.order) == mostSeen {
		delete(d.seen, d.order[0])
		d.order = slices.Delete(d.order, 0, 1)
	}
	f := new(fate)
	d.seen[id], d.order = f, append(d.order, id)
	return f
}

func (d *Dialect) end(f *fate, left bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held--
	f.held--
	f.left = f.left || left
}

// hold waits for as long as a probe asks for.
func (d *Dialect) hold(ctx context.Context, asked probe.Request) (err error) {
	f, err := d.begin(asked.ID)
	if err != nil {
		return err
	}
	defer func() { d.end(f, ctx.Err() != nil) }()
	over := time.NewTimer(asked.Wait)
	defer over.Stop()
	select {
	case <-over.C:
		return nil
	case <-d.ended:
		return correlator.ErrDraining
	case <-ctx.Done():
		return nil // nobody hears the answer
	}
}

// stream sends events for as long as a probe asks for.
func (d *Dialect) stream(ctx context.Context, dst *fasthttp.Response, asked probe.Request, at dialect.ResourceCall) (err error) {
	f, err := d.begin(asked.ID)
	if err != nil {
		return err
	}
	defer func() { d.end(f, ctx.Err() != nil) }()
	every := streamEvery
	if asked.Do == probe.Beat {
		every = cmp.Or(d.cfg.Load().Heartbeat, streamEvery)
	}
	dst.Header.SetContentType("text/event-stream")
	dst.Header.Set("X-Accel-Buffering", "no") // as on streams of events
	dst.SetBodyString(event(0))
	send, ok := at.Stream(dst)
	if !ok {
		return nil
	}
	over, tick := time.NewTimer(asked.Wait), time.NewTicker(every)
	defer over.Stop()
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
			if !send([]byte(event(n))) {
				return nil
			}
		case <-over.C:
			send([]byte("event: end\ndata: end\n\n"))
			return nil
		case <-d.ended:
			return correlator.ErrDraining
		case <-ctx.Done():
			return nil
		}
	}
}

func event(n int) string { return "data: " + strconv.Itoa(n) + "\n\n" }
