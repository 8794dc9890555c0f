package notify_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/notify"
	"syncgate/signer"
)

// TestLease is what a Store promises about claims.
func TestLease(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		store, ctx := open(), t.Context()
		room := notify.Room{Most: 10, Slots: 10, Lease: 300 * time.Millisecond, Grace: 200 * time.Millisecond}
		keep(t, store, "h-a", "h-b", "h-c")
		first := claim(t, store, room, 3)
		begin := time.Now()
		if j := first["a"]; j.Attempt != 1 || j.Step != 0 || string(j.Body) != "body" || string(j.Sealed) != "s" || j.Host != "h:443" || time.Since(j.Created) > time.Minute {
			t.Errorf("%+v", j)
		}
		var second map[string]notify.Job
		eventually(t, "they are claimed again", func() bool {
			second = claim(t, store, room, -1)
			return len(second) > 0
		})
		if after := time.Since(begin); after < 500*time.Millisecond || len(second) != 3 || second["a"].Attempt != 2 {
			t.Errorf("%d are claimed again after %v, %+v", len(second), after, second["a"])
		}
		finish(t, store, first["a"], notify.Delivered) // whoever hears it
		finish(t, store, first["b"], notify.Refused)   // counts for nothing: the claim is lost
		are(t, store, map[string]notify.State{"a": notify.Delivered, "b": notify.Open})
		finish(t, store, second["a"], notify.Open)
		finish(t, store, second["b"], notify.Dead)
		finish(t, store, second["c"], notify.Open)
		third := claim(t, store, room, 1)
		finish(t, store, third["c"], notify.Refused)
		finish(t, store, second["c"], notify.Delivered)
		are(t, store, map[string]notify.State{"a": notify.Delivered, "b": notify.Dead, "c": notify.Delivered})
		if stats, err := store.Stats(ctx); err != nil || stats != (notify.Stats{Dead: 1}) {
			t.Errorf("%+v, %v", stats, err)
		}
		claim(t, store, room, 0)
	})
}

// keep stores notifications, each named by its host, a hyphen and its id.
func keep(t *testing.T, store notify.Store, names ...string) {
	t.Helper()
	for _, name := range names {
		host, id, _ := strings.Cut(name, "-")
		r := notify.Record{ID: id, URL: "https://" + host, Host: host + ":443", Body: []byte("body"), Sealed: []byte("s")}
		if err := store.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// are wants that notifications are in states.
func are(t *testing.T, store notify.Store, states map[string]notify.State) {
	t.Helper()
	for id, state := range states {
		if e, err := store.Show(t.Context(), id); err != nil || e.State != state {
			t.Errorf("%s: %+v, %v", id, e, err)
		}
	}
}

// claim claims n, or any number when that is negative.
func claim(t *testing.T, store notify.Store, room notify.Room, n int) map[string]notify.Job {
	t.Helper()
	jobs, _, err := store.Claim(t.Context(), room)
	if err != nil || n >= 0 && len(jobs) != n {
		t.Fatalf("%d are claimed, want %d, %v", len(jobs), n, err)
	}
	all := make(map[string]notify.Job)
	for _, j := range jobs {
		all[j.ID] = j
	}
	return all
}

func finish(t *testing.T, store notify.Store, j notify.Job, state notify.State) {
	t.Helper()
	if err := store.Finish(t.Context(), notify.Verdict{ID: j.ID, Host: j.Host, Token: j.Token, State: state}); err != nil {
		t.Fatal(err)
	}
}

// TestClaimsAreFair has hosts share a claim as their slots allow, and the time until the next one known.
func TestClaimsAreFair(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		store := open()
		keep(t, store, "x-x1", "x-x2", "x-x3", "y-y1", "y-y2", "z-z1")
		got := claim(t, store, notify.Room{Most: 10, Slots: 2, Free: map[string]int{"y:443": 0}, Lease: time.Minute, Grace: time.Minute}, -1)
		for _, id := range []string{"x1", "x2", "z1"} {
			if _, ok := got[id]; !ok || len(got) != 3 {
				t.Errorf("%s is not among the %d claimed", id, len(got))
			}
		}
		finish(t, store, got["x1"], notify.Dead)
		claim(t, store, notify.Room{Most: 10, Slots: 10, Lease: time.Minute, Grace: time.Minute}, 3)
		jobs, next, err := store.Claim(t.Context(), notify.Room{Most: 10, Slots: 10, Lease: time.Minute, Grace: time.Minute})
		if err != nil || len(jobs) > 0 || next < 30*time.Second || next > time.Minute {
			t.Errorf("%d, %v, %v", len(jobs), next, err)
		}
	})
}

// TestNothingElseIsSent has a store hold what the Sender did not put there: another body, another receiver, a key that is gone.
func TestNothingElseIsSent(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	other, err := signer.NewSealer([]string{"fedcba9876543210fedcba9876543210"})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*notify.Record, *notify.Config){
		"body":         func(n *notify.Record, _ *notify.Config) { n.Body = []byte("x") },
		"receiver":     func(n *notify.Record, _ *notify.Config) { n.URL = r.URL + "/other" },
		"id":           func(n *notify.Record, _ *notify.Config) { n.ID += "x" },
		"subscription": func(n *notify.Record, _ *notify.Config) { n.Subscription = "other" },
		"sealed":       func(n *notify.Record, _ *notify.Config) { n.Sealed = nil },
		"key":          func(_ *notify.Record, c *notify.Config) { c.Sealer = other },
	} {
		store, c := notify.NewMemory(10, 1<<20), quick()
		c.Window = 200 * time.Millisecond
		taken := &taking{Store: store}
		s, err := notify.New(taken, c)
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, hook(r))
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		record := taken.records[0]
		change(&record, &c)
		if err := store.Put(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		sender(t, store, c)
		if e := becomes(t, store, record.ID, notify.Dead); e.Last.Outcome != notify.OutcomeUnreadable {
			t.Errorf("%s: %+v", name, e.Last)
		}
	}
	if had := r.requests(); len(had) != 0 {
		t.Errorf("%d were sent", len(had))
	}
}

// taking keeps what is put, and stores nothing.
type taking struct {
	notify.Store
	records []notify.Record
}

func (s *taking) Put(_ context.Context, r notify.Record) error {
	s.records = append(s.records, r)
	return nil
}

// TestGoneIsReported has a 410 reported until somebody takes the report, and what came of each attempt heard.
func TestGoneIsReported(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		var reports atomic.Int32
		heard := make(chan notify.State, 10)
		c := quick()
		c.Gone = func(context.Context, string) error {
			if reports.Add(1) < 3 {
				return errors.New("not now")
			}
			return nil
		}
		c.Settled = func(_, subscription string, state notify.State, last notify.Attempt) {
			if subscription == "sub-1" && last.Status == 410 {
				heard <- state
			}
		}
		store := open()
		s := sender(t, store, c)
		n := hook(receive(t, with(410)))
		send(t, s, n)
		if e := becomes(t, store, n.ID, notify.Gone); e.Attempts != 3 || reports.Load() != 3 {
			t.Errorf("%d attempts, %d reports", e.Attempts, reports.Load())
		}
		for _, want := range []notify.State{notify.Open, notify.Open, notify.Gone} {
			if got := <-heard; got != want {
				t.Errorf("it is heard that the notification is %s, and was to be %s", got, want)
			}
		}
	})
}

// TestEndedSubscriptions has nothing sent for a subscription that stands no more, and all for one of which nobody knows.
func TestEndedSubscriptions(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		r, quietly := receive(t, nil), receive(t, nil)
		c := quick()
		c.Stands = func(_ context.Context, subscription string) (bool, error) {
			if subscription == "cancelled" {
				return false, nil
			}
			return false, errors.New("nobody knows")
		}
		store := open()
		s := sender(t, store, c)
		n, m := hook(r), hook(quietly)
		m.Subscription = "cancelled"
		send(t, s, n)
		send(t, s, m)
		becomes(t, store, n.ID, notify.Delivered)
		e := becomes(t, store, m.ID, notify.Gone)
		if e.Last.Outcome != notify.OutcomeEnded || e.Last.Number != 0 || e.Attempts != 0 || len(quietly.requests()) != 0 {
			t.Errorf("%d attempts, %+v, %d requests", e.Attempts, e.Last, len(quietly.requests()))
		}
	})
}

// TestCloseDrains has Close wait for what runs, and begin nothing.
func TestCloseDrains(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		answer := make(chan struct{})
		r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) { <-answer })
		store, c := open(), quick()
		c.Timeout, c.PerHost = 10*time.Second, 1
		s := sender(t, store, c)
		first, second := hook(r), hook(r)
		send(t, s, first)
		r.await(t, 1)
		send(t, s, second)
		closed := make(chan error)
		go func() { closed <- s.Close(context.Background()) }()
		eventually(t, "nothing more is taken", func() bool { return errors.Is(s.Send(t.Context(), second), notify.ErrClosed) })
		close(answer)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		e, err := store.Show(t.Context(), first.ID)
		if err != nil || e.State != notify.Delivered {
			t.Errorf("%+v, %v", e, err)
		}
		if n := len(r.requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
		sender(t, open(), c)
		becomes(t, store, second.ID, notify.Delivered)
	})
}

// TestCloseCutsOff has Close end an attempt that takes longer than it may wait: another Sender makes it at once.
func TestCloseCutsOff(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		r := hangsFirst(t)
		store, c := open(), quick()
		c.Timeout = time.Minute
		s := sender(t, store, c)
		n := hook(r)
		send(t, s, n)
		r.await(t, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		sender(t, open(), c)
		if e := becomes(t, store, n.ID, notify.Delivered); e.Attempts != 2 || time.Since(begin) > 3*time.Second {
			t.Errorf("%+v after %v", e, time.Since(begin))
		}
	})
}

// TestASlowHostHasOneSlot has receivers hang, before a status and in the body: after the first attempts ran out of time there is one at once.
func TestASlowHostHasOneSlot(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter, q *http.Request, n int){
		"no status": func(_ http.ResponseWriter, q *http.Request, _ int) { <-q.Context().Done() },
		"body":      hangsInBody,
	} {
		r, c := receive(t, answer), quick()
		c.Timeout, c.PerHost, c.Schedule, c.Window = 100*time.Millisecond, 4, []time.Duration{0, time.Hour}, time.Minute
		s := sender(t, notify.NewMemory(100, 1<<20), c)
		for range 9 {
			send(t, s, hook(r))
		}
		had := r.await(t, 9)
		for i := 5; i < len(had); i++ { // behind the first four, and the one after these
			if gap := had[i].at.Sub(had[i-1].at); gap < c.Timeout/2 {
				t.Errorf("%s: attempt %d came %v after the one before, and that takes %v", name, i+1, gap, c.Timeout)
			}
		}
	}
}

// TestSettings has TLS, and a reload, count for the attempts that follow.
func TestSettings(t *testing.T) {
	t.Parallel()
	var had atomic.Int32
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { had.Add(1) }))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	store, c := notify.NewMemory(100, 1<<20), quick()
	s := sender(t, store, c)
	n := notify.Notification{ID: "untrusted", URL: secure.URL}
	send(t, s, n)
	if e := becomes(t, store, n.ID, notify.Dead); e.Last.Outcome != notify.OutcomeUnreachable || e.Last.Error != "TLS: nobody we trust signed the certificate" {
		t.Errorf("%+v", e.Last)
	}
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	trusting := c.Settings
	trusting.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if err := s.Set(trusting); err != nil {
		t.Fatal(err)
	}
	n.ID = "trusted"
	send(t, s, n)
	becomes(t, store, n.ID, notify.Delivered)

	if err := s.Set(notify.Settings{}); err == nil {
		t.Error("a Sender without a Guard")
	}
	if had.Load() != 1 {
		t.Errorf("the receiver with TLS had %d", had.Load())
	}
}

// TestAStricterGuard has a reload forbid what is open: a scheme, and the addresses of a name.
func TestAStricterGuard(t *testing.T) {
	t.Parallel()
	for name, strict := range map[string]*notify.Guard{
		"scheme":    guard(t, notify.GuardConfig{AllowNetworks: networks("127.0.0.0/8", "::1/128")}),
		"addresses": guard(t, notify.GuardConfig{AllowHTTP: true}),
	} {
		r := receive(t, with(500))
		store, c := notify.NewMemory(100, 1<<20), quick()
		c.Guard = guard(t, notify.GuardConfig{AllowHTTP: true, AllowNetworks: networks("127.0.0.0/8", "::1/128")})
		s := sender(t, store, c)
		n := hook(r)
		n.URL = strings.Replace(n.URL, "127.0.0.1", "localhost", 1)
		send(t, s, n)
		r.await(t, 1)
		c.Guard = strict
		if err := s.Set(c.Settings); err != nil {
			t.Fatal(err)
		}
		if e := becomes(t, store, n.ID, notify.Dead); e.Last.Outcome != notify.OutcomeBlocked {
			t.Errorf("%s: %+v", name, e.Last)
		}
	}
}
