//go:build unix

package dashboards_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"syncgate/internal/hooksim"
	"syncgate/signer"
)

// mood is what clients and the engine are like for a while. The zero value is a quiet day.
type mood struct {
	slow   bool   // tasks take seconds, and of ten two are never called back
	ack    string // how the engine answers creates; empty: well
	wild   bool   // clients leave, send what is wrong, and guess
	fail   bool   // tasks of the shop fail
	unsure bool   // senders of the waiter sign badly, and name what nobody waits for
}

// chapter is a part of the story.
type chapter struct {
	name  string
	units float64 // of the story's time
	mood  mood
	begin func(*world) // may be nil; it may take some of the chapter's time
	end   func(*world) // may be nil
}

// mark is when a chapter began.
type mark struct {
	At   float64 `json:"at"` // Unix seconds
	Name string  `json:"name"`
}

func story() []chapter {
	return []chapter{
		{
			name: "a quiet day", units: 0.6,
			begin: func(w *world) { w.nodes[0].log.stop(true) }, // nobody reads the log for a while
		},
		{name: "slow tasks", units: 1, mood: mood{slow: true}},
		{
			name: "a slow engine", units: 1,
			begin: func(w *world) { w.way.Slow(400 * time.Millisecond) },
			end:   func(w *world) { w.way.Slow(0) },
		},
		{
			name: "the engine refuses", units: 1, mood: mood{ack: "access_denied", fail: true},
			begin: func(w *world) {
				w.pause(w.unit / 2)
				w.mood.Store(&mood{ack: "http_500"})
			},
		},
		{
			name: "the engine is down", units: 1,
			begin: func(w *world) { w.way.Down() },
			end: func(w *world) {
				if err := w.way.Up(); err != nil {
					w.t.Error(err)
				}
			},
		},
		{
			name: "wild clients, a bad reload", units: 1, mood: mood{wild: true, unsure: true},
			begin: func(w *world) { w.reload(w.nodes[0], "nonsense: true") },
			end: func(w *world) {
				w.reload(w.nodes[0], "")
				w.nodes[0].log.stop(false)
			},
		},
		{
			name: "receivers fail", units: 1,
			begin: func(w *world) { w.hooks.Answers(failing) },
			end:   func(w *world) { w.hooks.Answers(hooksim.Status(http.StatusOK)) },
		},
		{
			name: "Redis is slow, and forged", units: 0.6,
			begin: func(w *world) {
				w.link.Slow(20 * time.Millisecond)
				w.forge()
			},
			end: func(w *world) { w.link.Slow(0) },
		},
		{
			name: "Redis is away", units: 0.8,
			begin: func(w *world) { w.link.Down() },
			end: func(w *world) {
				if err := w.link.Up(); err != nil {
					w.t.Error(err)
				}
			},
		},
		{name: "quiet", units: 0.4},
		{name: "gateway-2 restarts", units: 1, begin: func(w *world) { w.restart(w.nodes[1]) }},
		{name: "quiet again", units: 0.4},
	}
}

// failing are receivers that fail in each way.
func failing(rw http.ResponseWriter, q *http.Request, n int) int {
	order, _ := strconv.Atoi(q.URL.Path[1:]) // as order names it
	switch order / 2 % receivers {
	case 0:
		return hooksim.Hang(rw, q, n)
	case 1:
		return http.StatusGone
	case 2:
		return http.StatusForbidden
	}
	return http.StatusServiceUnavailable
}

// forge writes into the inboxes what no gateway has written.
func (w *world) forge() {
	for alive := range strings.FieldsSeq(w.redis.Do("KEYS", "*:alive")) {
		w.redis.Do("HSET", strings.TrimSuffix(alive, "alive")+"inbox", "junk", "junk")
	}
}

// tell has the story happen, and gives when its chapters began, and when the last one ended.
func (w *world) tell() (marks []mark, end time.Time) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer w.calls.Wait()
	defer cancel()
	for _, client := range []struct {
		every time.Duration
		call  func(ctx context.Context, n int)
	}{{50 * time.Millisecond, w.package1}, {100 * time.Millisecond, w.package3}, {100 * time.Millisecond, w.order}, {250 * time.Millisecond, w.payment}} {
		w.calls.Go(func() { w.repeat(ctx, client.every, client.call) })
	}
	for _, c := range story() {
		marks = append(marks, mark{float64(time.Now().UnixMilli()) / 1e3, c.name})
		over := time.After(time.Duration(c.units * float64(w.unit)))
		w.mood.Store(&c.mood)
		if c.begin != nil {
			c.begin(w)
		}
		<-over
		if c.end != nil {
			c.end(w)
		}
	}
	return marks, time.Now()
}

// repeat has clients call. At most 400 wait at the same time.
func (w *world) repeat(ctx context.Context, every time.Duration, call func(ctx context.Context, n int)) {
	tick, room := time.NewTicker(every), make(chan struct{}, 400)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case room <- struct{}{}:
			w.calls.Go(func() {
				defer func() { <-room }()
				call(ctx, n)
			})
		default:
		}
	}
}

// door is the node that client n asks.
func (w *world) door(n int) *node {
	if at := w.nodes[n%2]; !at.away.Load() {
		return at
	}
	return w.nodes[(n+1)%2]
}

// sim is how the engine treats task n: it calls every second one back at another node than its own.
func (w *world) sim(n int, m *mood) string {
	least, most := 50, 400
	if m.slow {
		least, most = 1500, 3000
	}
	text := fmt.Sprintf(`"to":%q,"delay_ms":[%d,%d]`, w.door(n/2).callback, least, most)
	switch {
	case m.ack != "" && n%3 > 0:
		text += fmt.Sprintf(`,"ack":%q`, m.ack)
	case m.slow && n%5 == 0:
		text += `,"callback":"never"`
	case n%20 == 0:
		text += `,"duplicates":1`
	}
	return text
}

// package1 sends a package with one task.
func (w *world) package1(ctx context.Context, n int) {
	m, timeout, op := w.mood.Load(), 2.5, "create"
	if m.wild {
		switch n % 8 {
		case 0: // it leaves
			short, cancel := context.WithTimeout(ctx, 40*time.Millisecond)
			defer cancel()
			ctx = short
		case 1: // its result will be late
			timeout = 0.04
		case 2:
			op = "delete"
		case 3: // somebody guesses
			w.send(ctx, w.nodes[n%2].callback, "/api/1/plugins/callback/"+strings.Repeat("k", 64), `{}`)
		case 4:
			w.send(ctx, w.nodes[n%2].public, fmt.Sprintf("/api/1/json/12345/%d/%040d", time.Now().Unix(), 0), `{}`)
		case 5: // a clock that is wrong
			w.signedAt(ctx, n, time.Now().Add(-time.Hour), "12345", `{}`)
		case 6:
			w.signed(ctx, n, "12345", `{"ops":{`)
		}
		for range 4 { // more than limits.rate_per_login
			w.calls.Go(func() { w.create(ctx, 0, timeout, op, w.sim(n, m)) })
		}
	}
	w.create(ctx, n, timeout, op, w.sim(n, m))
}

// create sends a package of some kilobytes, as bodies of a few hundred bytes count nowhere.
func (w *world) create(ctx context.Context, n int, timeout float64, op, sim string) {
	w.signed(ctx, n, "12345", fmt.Sprintf(`{"timeout":%g,"ops":[{"type":%q,"obj":"task","conv_id":1,"data":{"text":%q,"__sim":{%s}}}]}`, timeout, op, strings.Repeat("t", 20<<10), sim))
}

// package3 sends a package with three tasks and an Idempotency-Key, twice at times.
func (w *world) package3(ctx context.Context, n int) {
	op := fmt.Sprintf(`{"type":"create","obj":"task","conv_id":1,"data":{"__sim":{%s}}}`, w.sim(n, w.mood.Load()))
	body := fmt.Sprintf(`{"timeout":4,"ops":[%s,%[1]s,%[1]s]}`, op)
	key := fmt.Sprintf("Idempotency-Key: key-%p-%d", w, n)
	w.signed(ctx, n, "67890", body, key)
	if n%10 == 0 {
		w.signed(ctx, n+1, "67890", body, key)
	}
}

// order calls the route of the shop: it waits, or has the result sent to a receiver.
func (w *world) order(ctx context.Context, n int) {
	m, prefer, hook := w.mood.Load(), "wait=3", ""
	if n%2 == 0 {
		prefer, hook = "respond-async", fmt.Sprintf(`"callbackUrl":%q,`, w.hooks.URL(n/2, strconv.Itoa(n)))
	}
	if m.fail {
		hook += `"state":"failed",`
	}
	w.send(ctx, w.door(n).public, "/v1/orders", fmt.Sprintf(`{%s"__sim":{%s}}`, hook, w.sim(n, m)), "X-Api-Key: "+shopKey, "Prefer: "+prefer)
}

// payment calls the route for payments, and then completes the task by its name, as a sender of webhooks does.
func (w *world) payment(ctx context.Context, n int) {
	m, name, door := w.mood.Load(), fmt.Sprintf("order-%p-%d", w, n), w.door(n)
	body := fmt.Sprintf(`{"order":%q}`, name)
	w.calls.Go(func() { w.send(ctx, door.public, "/v1/payments", body, "X-Api-Key: "+shopKey, "Prefer: wait=5") })
	if n%4 > 0 { // else it comes early
		w.pause(300 * time.Millisecond)
	}
	text, key := body, senderSecret
	if m.unsure && n%3 == 1 {
		text = `{"order":"nobody's"}`
	}
	if m.unsure && n%3 == 2 {
		key = "a guess"
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	w.send(ctx, w.door(n+n/2).callback, "/api/1/json/callback/"+waiterNode+"/"+waiterHash, text, "X-Signature: "+hex.EncodeToString(mac.Sum(nil)))
}

// signed sends a package as a login does.
func (w *world) signed(ctx context.Context, n int, login, body string, header ...string) {
	w.signedAt(ctx, n, time.Now(), login, body, header...)
}

func (w *world) signedAt(ctx context.Context, n int, at time.Time, login, body string, header ...string) {
	now := strconv.FormatInt(at.Unix(), 10)
	signature := signer.AppendSignature(nil, []byte(now), []byte(secret), []byte(body))
	w.send(ctx, w.door(n).public, fmt.Sprintf("/api/1/json/%s/%s/%s", login, now, signature), body, header...)
}

// send posts JSON. It ignores the answer: the dashboards show how requests ended.
func (w *world) send(ctx context.Context, host, path, body string, header ...string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+host+path, strings.NewReader(body))
	if err != nil {
		w.t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return // a node restarts, or the client has left
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
}
