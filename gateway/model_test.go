package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/internal/redistest"
)

const (
	// shortModel is how many trips the model makes at least where nobody asks for more: a round in calm, one in which a node
	// leaves, and one in which both stay.
	shortModel = 4000
	// roundTrips is how many clients two nodes live for. Some ask more than once.
	roundTrips = 1000
	// players is how many stories are played at once.
	players = 64
)

// TestModel plays random stories against two nodes over a real Redis that breaks again and again, and compares what
// clients and engine have seen with what the product promises: every client gets its own result and no other's, one
// reply for each request; every op has one final, the first acknowledged one; what was acknowledged can be read; no key
// makes two tasks; a replay is the same bytes; and nothing is left in the end.
//
//	SYNCGATE_MODEL_TRIPS=100000 SYNCGATE_MODEL_SEED=1 go test -run TestModel -timeout 1h ./gateway
//
// The seed decides what is tried, though not how the goroutines meet. Without one it is another each time, and printed.
func TestModel(t *testing.T) {
	trips, seed := number(t, "SYNCGATE_MODEL_TRIPS", shortModel), number(t, "SYNCGATE_MODEL_SEED", rand.Uint64()) //nolint:gosec // a plan and no secret
	t.Logf("SYNCGATE_MODEL_TRIPS=%d SYNCGATE_MODEL_SEED=%d", trips, seed)
	goredis.SetLogger(silent{}) // it would tell of every fault
	// What Redis has said is kept survives its end.
	r := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	total := newTally()
	for n := uint64(0); total.trips.Load() < int64(trips) && !t.Failed(); n++ { //nolint:gosec // a few
		rng := rand.New(rand.NewPCG(seed, n)) //nolint:gosec // a plan and no secret
		g := &game{cluster: newCluster(t, r), rng: rng, round: n, calm: n%4 == 0, drains: n%2 == 1, tally: total}
		g.play(t)
	}
	t.Log(total)
}

// silent is a log of go-redis that nobody reads.
type silent struct{}

// Printf drops the line.
func (silent) Printf(context.Context, string, ...any) {}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text, set := os.LookupEnv(name)
	if !set {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// game is one round: two new nodes, and stories for them.
type game struct {
	*cluster
	rng    *rand.Rand // of the goroutine of play
	round  uint64
	calm   bool // Redis does not break, and more is promised
	drains bool // one node leaves in the middle
	tally  *tally
	serial atomic.Int64 // of requests
}

// play plays as many stories as make up a round.
func (g *game) play(t *testing.T) {
	defer g.end()
	began := time.Now()
	stories := g.plan()
	queue := make(chan *story)
	var all sync.WaitGroup
	for range players {
		all.Go(func() {
			for s := range queue {
				s.play()
			}
		})
	}
	var drain sync.WaitGroup
	go func() {
		for i, s := range stories {
			if g.drains && i == len(stories)*2/3 {
				drain.Go(func() {
					g.members[1].leave(300 * time.Millisecond)
					g.members[1].inherit(g.members[0])
				})
			}
			queue <- s
		}
		close(queue)
	}()
	done := make(chan struct{})
	go func() {
		all.Wait()
		drain.Wait()
		close(done)
	}()
	if !g.calm {
		g.storm(g.rng, done)
	}
	<-done
	played := time.Since(began)
	g.heal()
	newOracle(g, stories).judge(t)
	t.Logf("round %d, calm: %v, one node leaves: %v: played in %v, judged in %v", g.round, g.calm, g.drains, played, time.Since(began)-played)
}

// plan makes the stories of a round.
func (g *game) plan() (stories []*story) {
	for asks := 0; asks < roundTrips; {
		s := g.story(len(stories))
		asks += len(s.asks)
		stories = append(stories, s)
	}
	return stories
}

// story is what is told of one key, or of one request without: who asks, and how the engine takes it.
type story struct {
	g     *game
	nonce string
	key   string // empty: none
	ops   []string
	asks  []*ask
	never bool // the engine does not call back for one of the ops
	ack   string

	mu   sync.Mutex
	seen []*sight // guarded by mu
}

// ask is one client.
type ask struct {
	node     int
	after    time.Duration // the story has begun
	patience time.Duration // 0: as long as the gateway wants, with no timeout given
	hangUp   time.Duration // after it has asked; 0: it does not
	reset    bool          // that is how it hangs up
	other    bool          // it uses the key with another body
}

func chance(rng *rand.Rand, percent int) bool { return rng.IntN(100) < percent }

func upTo(rng *rand.Rand, d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }

func (g *game) story(n int) *story {
	rng := g.rng
	s := &story{g: g, nonce: fmt.Sprintf("r%dn%d", g.round, n), ack: "ok"}
	if chance(rng, 20) {
		s.ack = []string{"object", "reversed", "hang", "reset", "truncated", "http_500", "format_error", "not_unical_ref", "unanswered"}[rng.IntN(9)]
	}
	for i := range 1 + rng.IntN(3) {
		s.ops = append(s.ops, g.op(s, i))
	}
	clients := 1
	if chance(rng, 50) {
		s.key = "key-" + s.nonce
		if chance(rng, 40) {
			clients += 1 + rng.IntN(2)
		}
	}
	for i := range clients {
		s.asks = append(s.asks, g.ask(i))
		if s.never { // it will wait in vain
			s.asks[i].patience = min(s.asks[i].patience, time.Second)
		}
	}
	return s
}

// op is what the engine does with one op, as it is told.
func (g *game) op(s *story, i int) string {
	rng := g.rng
	ms := func(most int) int { return rng.IntN(most) }
	sim := fmt.Sprintf(`"ack":%q,"to":%q,"delay_ms":%d,"body":{"nonce":"%s-%d","n":"{{n}}"}`, s.ack, g.members[rng.IntN(2)].addr, ms(150), s.nonce, i)
	switch {
	case chance(rng, 4):
		s.never = true
		sim += `,"callback":"never"`
	case chance(rng, 20):
		sim += `,"callback":"before"`
	case chance(rng, 10):
		sim += fmt.Sprintf(`,"ack_delay_ms":%d`, ms(200))
	}
	if chance(rng, 30) {
		sim += fmt.Sprintf(`,"duplicates":%d,"gap_ms":%d`, 1+rng.IntN(2), ms(2)*ms(100))
	}
	return sim
}

func (g *game) ask(i int) *ask {
	rng := g.rng
	a := &ask{node: rng.IntN(2), patience: 20 * time.Second}
	if i > 0 {
		a.after = upTo(rng, 200*time.Millisecond)
		a.other = chance(rng, 10)
	}
	if chance(rng, 25) { // about when the callback comes
		a.patience = 50*time.Millisecond + upTo(rng, 200*time.Millisecond)
	}
	if chance(rng, 12) {
		a.hangUp, a.reset = time.Millisecond+upTo(rng, 150*time.Millisecond), chance(rng, 50)
	}
	return a
}

// body is the request's. Another one has something else in its data.
func (s *story) body(patience time.Duration, other bool) string {
	ops := make([]string, len(s.ops))
	for i, sim := range s.ops {
		ref := fmt.Sprintf("%s-%d", s.nonce, i)
		if other {
			ref += "-other"
		}
		ops[i] = fmt.Sprintf(`{"type":"create","obj":"task","conv_id":1,"ref":%q,"data":{"__sim":{%s}}}`, ref, sim)
	}
	timeout := fmt.Sprintf(`"timeout":%g,`, patience.Seconds())
	return "{" + timeout + `"ops":[` + strings.Join(ops, ",") + "]}"
}

// play lets all ask, and those who were left without a result ask for it.
func (s *story) play() {
	var all sync.WaitGroup
	for _, a := range s.asks {
		all.Go(func() {
			<-time.After(a.after)
			x := s.create(a)
			for try := 1; s.key != "" && !a.other && x.again() && try < 100; try++ { // what keys are for
				<-time.After(50 * time.Millisecond)
				x = s.create(&ask{node: (a.node + try) % 2, patience: a.patience})
			}
			if x.location != "" && x.isOpen() {
				s.get(x.location, (a.node+1)%2, time.Second)
			}
		})
	}
	all.Wait()
}

func (s *story) create(a *ask) *sight {
	body := s.body(a.patience, a.other)
	x := &sight{what: "create", node: a.node, ask: a}
	headers := ""
	if s.key != "" {
		headers = "Idempotency-Key: " + s.key + "\r\n"
	}
	s.exchange(x, "POST "+sign(body), headers, body)
	return x
}

func (s *story) get(location string, node int, wait time.Duration) *sight {
	x := &sight{what: "get", node: node, path: location}
	headers := ""
	if wait > 0 {
		headers = fmt.Sprintf("Prefer: wait=%d\r\n", int(wait.Seconds()))
	}
	s.exchange(x, "GET "+location, headers, "")
	return x
}

// exchange makes one request over a connection of its own, and notes what is seen.
func (s *story) exchange(x *sight, line, headers, body string) {
	m := s.g.members[x.node]
	x.id = fmt.Sprintf("%s.%d", s.nonce, s.g.serial.Add(1))
	x.leaving = m.leaving.Load()
	x.began = time.Now()
	defer func() {
		x.ended = time.Now()
		x.leaving = x.leaving || m.leaving.Load()
		s.mu.Lock()
		s.seen = append(s.seen, x)
		s.mu.Unlock()
	}()
	conn, err := net.Dial("tcp", m.addr)
	if err != nil {
		x.err = err
		return
	}
	defer conn.Close()
	if a := x.ask; a != nil && a.hangUp > 0 {
		if a.reset {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		x.hungUp = time.Now().Add(a.hangUp)
		defer time.AfterFunc(a.hangUp, func() { _ = conn.Close() }).Stop()
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, x.err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nX-Request-Id: %s\r\n%sContent-Length: %d\r\n\r\n%s", line, x.id, headers, len(body), body)
	if x.err == nil {
		x.read(conn)
	}
}

// read reads the reply, and that it is the only one: the connection is asked for health after it.
func (x *sight) read(conn net.Conn) {
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		x.err = err
		return
	}
	x.body, x.err = io.ReadAll(resp.Body)
	x.status, x.location = resp.StatusCode, resp.Header.Get("Location")
	x.retry, x.echo = resp.Header.Get("Retry-After") != "", resp.Header.Get("X-Request-Id")
	if x.err != nil || resp.Close || x.hungUp != (time.Time{}) {
		return
	}
	if _, err = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return // it was closed, which is allowed
	}
	rest, err := io.ReadAll(br)
	if err == nil && len(rest) > 0 && (!bytes.HasSuffix(rest, []byte(`{"status":"alive"}`)) || bytes.Count(rest, []byte("HTTP/1.1 ")) != 1) {
		x.err = errors.New("after the reply comes " + string(rest))
	}
}
