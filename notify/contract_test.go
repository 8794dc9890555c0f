package notify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"syncgate/notify"
	"syncgate/signer"
)

func TestEachAttemptIsSigned(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		r := receive(t, func(w http.ResponseWriter, _ *http.Request, n int) {
			if n == 1 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		store, c := open(), quick()
		c.Schedule, c.Window = []time.Duration{0, 1100 * time.Millisecond}, time.Minute
		s := sender(t, store, c)
		n := hook(r)
		n.URL += "?token=1#part"
		n.Secrets = append(n.Secrets, newSecret)
		n.Header = map[string]string{"content-type": "application/hal+json", "X-COREOS-HMAC-SIGNATURE": "abc"}
		send(t, s, n)
		e := becomes(t, store, n.ID, notify.Delivered)
		had := r.await(t, 2)
		if len(had) != 2 || e.Attempts != 2 || e.Last == nil || e.Last.Status != 200 || e.Last.Number != 2 || e.Last.Outcome != notify.OutcomeDelivered {
			t.Errorf("%d requests, %+v, %+v", len(had), e, e.Last)
		}
		signed(t, n, had)
	})
}

// signed wants that requests have all of a notification with two secrets, and a timestamp each.
func signed(t *testing.T, n notify.Notification, had []request) {
	t.Helper()
	stamps := make(map[string]bool)
	for _, q := range had {
		verify(t, q, secret)
		verify(t, q, newSecret)
		stamps[q.header.Get("webhook-timestamp")] = true
		if q.id != n.ID || string(q.body) != `{"a":1}` || q.path != "/hook?token=1" {
			t.Errorf("%s, %q, %s", q.id, q.body, q.path)
		}
		if q.header.Get("Content-Type") != "application/hal+json" || q.header.Get("X-Coreos-Hmac-Signature") != "abc" {
			t.Errorf("header: %v", q.header)
		}
	}
	if len(stamps) != len(had) {
		t.Errorf("the timestamps are %v", stamps)
	}
}

// states are what must come of each status.
var states = map[int]notify.State{
	200: notify.Delivered, 201: notify.Delivered, 202: notify.Delivered, 204: notify.Delivered, 226: notify.Delivered, 299: notify.Delivered,
	403: notify.Refused, 410: notify.Gone,
	300: notify.Dead, 301: notify.Dead, 302: notify.Dead, 303: notify.Dead, 304: notify.Dead, 307: notify.Dead, 308: notify.Dead,
	400: notify.Dead, 401: notify.Dead, 404: notify.Dead, 408: notify.Dead, 409: notify.Dead, 418: notify.Dead, 429: notify.Dead,
	500: notify.Dead, 502: notify.Dead, 503: notify.Dead, 504: notify.Dead, 599: notify.Dead,
}

// TestStatuses has every class of status answered.
func TestStatuses(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		other := receive(t, nil) // where redirects lead
		gone := make(chan string, len(states))
		store, c := open(), quick()
		c.Gone = func(_ context.Context, subscription string) error {
			gone <- subscription
			return nil
		}
		s := sender(t, store, c)
		receivers, ids := make(map[int]*receiver), make(map[int]string)
		for status := range states {
			receivers[status] = receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
				w.Header().Set("Location", other.URL+"/elsewhere")
				w.WriteHeader(status)
			})
			n := hook(receivers[status])
			n.Subscription = fmt.Sprintf("sub-%d", status)
			ids[status] = n.ID
			send(t, s, n)
		}
		for status, state := range states {
			e := becomes(t, store, ids[status], state)
			if had := len(receivers[status].requests()); (had > 1) != (state == notify.Dead) || had != e.Attempts || e.Last.Status != status {
				t.Errorf("%d: %d requests, %d attempts, %+v", status, had, e.Attempts, e.Last)
			}
		}
		if len(gone) != 1 || <-gone != "sub-410" {
			t.Errorf("%d more subscriptions are gone, or another", len(gone))
		}
		if had := other.requests(); len(had) > 0 {
			t.Errorf("a redirect was followed: %v", had)
		}
	})
}

func TestAttemptsFollowTheSchedule(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		r := receive(t, with(500))
		store, c := open(), quick()
		s := sender(t, store, c)
		n := hook(r)
		begin := time.Now()
		send(t, s, n)
		e := becomes(t, store, n.ID, notify.Dead)
		had := r.requests()
		if len(had) != 5 || e.Attempts != 5 { // 0, 50, 200, 600 and, as the last gap repeats, 1000 ms
			t.Fatalf("%d requests, %d attempts", len(had), e.Attempts)
		}
		offsets(t, begin, had)
		if e.Ended.IsZero() || !e.Due.IsZero() || e.Last.Outcome != notify.OutcomeStatus {
			t.Errorf("%+v", e)
		}
		if err := s.Retry(t.Context(), n.ID); err != nil { // it has a new window
			t.Fatal(err)
		}
		becomes(t, store, n.ID, notify.Open)
		if e := becomes(t, store, n.ID, notify.Dead); e.Attempts != 10 {
			t.Errorf("after a retry: %d attempts", e.Attempts)
		}
	})
}

// offsets wants requests when the schedule of quick has them.
func offsets(t *testing.T, begin time.Time, had []request) {
	t.Helper()
	for i, offset := range []int{0, 50, 200, 600, 1000} {
		at := had[i].at.Sub(begin)
		if ms := int(at.Milliseconds()); ms < offset*8/10 || ms > offset+500 {
			t.Errorf("attempt %d after %v", i+1, at)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		store, c := open(), quick()
		c.Window = time.Minute
		s := sender(t, store, c)
		for name, value := range map[string]func() string{
			"seconds": func() string { return "1" },
			"date":    func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) }, // of whole seconds
			"none":    func() string { return "soon" },
			"of 500":  func() string { return "3600" },
		} {
			status := http.StatusServiceUnavailable
			if name == "of 500" {
				status = http.StatusInternalServerError
			}
			r := receive(t, func(w http.ResponseWriter, _ *http.Request, n int) {
				if n == 1 {
					w.Header().Set("Retry-After", value())
					w.WriteHeader(status)
				}
			})
			n := hook(r)
			send(t, s, n)
			becomes(t, store, n.ID, notify.Delivered)
			had := r.await(t, 2)
			waits := name == "seconds" || name == "date"
			if after := had[1].at.Sub(had[0].at); (after > 900*time.Millisecond) != waits || after > 5*time.Second {
				t.Errorf("%s: the second attempt was after %v", name, after)
			}
		}
	})
}

// TestWindowBoundsRetryAfter has a receiver ask for more time than there is: the last attempt is at the window's end.
func TestWindowBoundsRetryAfter(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Retry-After", "99999999999")
			w.WriteHeader(http.StatusTooManyRequests)
		})
		store := open()
		s := sender(t, store, quick())
		n := hook(r)
		send(t, s, n)
		if e := becomes(t, store, n.ID, notify.Dead); e.Attempts != 2 || e.Ended.Sub(e.Created) < 900*time.Millisecond {
			t.Errorf("%+v", e)
		}
	})
}

// TestFaultyAnswers has receivers break off: before a status it is a failure, behind a 2xx it is delivered.
func TestFaultyAnswers(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		cut := func(text string) func(w http.ResponseWriter, r *http.Request, n int) {
			return func(w http.ResponseWriter, _ *http.Request, n int) {
				c, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = c.Close() }()
				if n > 1 {
					text = "HTTP/1.1 204 No Content\r\n\r\n"
				}
				_, _ = c.Write([]byte(text))
			}
		}
		store := open()
		c := quick()
		c.Window = 5 * time.Second
		s := sender(t, store, c)
		for name, row := range map[string]struct {
			answer   func(w http.ResponseWriter, r *http.Request, n int)
			attempts int
			first    notify.Outcome
		}{
			"closes at once":               {cut(""), 2, notify.OutcomeUnreachable},
			"closes in the status":         {cut("HTTP/1.1 20"), 2, notify.OutcomeUnreachable},
			"closes in the head":           {cut("HTTP/1.1 200 OK\r\nContent-Le"), 2, notify.OutcomeUnreachable},
			"no HTTP":                      {cut("SSH-2.0-OpenSSH_9.6\r\n"), 2, notify.OutcomeUnreachable},
			"a head without an end":        {cut("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)), 2, notify.OutcomeUnreachable},
			"closes in the body of a 200":  {cut("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), 1, notify.OutcomeDelivered},
			"a body of a 200 without end":  {endless, 1, notify.OutcomeDelivered},
			"hangs in the body of a 200":   {hangsInBody, 1, notify.OutcomeDelivered},
			"answers before it has read":   {with(200), 1, notify.OutcomeDelivered},
			"switches to another protocol": {cut("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), 2, notify.OutcomeStatus},
		} {
			r := receive(t, row.answer)
			n := hook(r)
			send(t, s, n)
			if e := becomes(t, store, n.ID, notify.Delivered); e.Attempts != row.attempts || len(r.requests()) != row.attempts {
				t.Errorf("%s: %d attempts, %d requests", name, e.Attempts, len(r.requests()))
			}
		}
	})
}

func endless(w http.ResponseWriter, r *http.Request, _ int) {
	chunk := make([]byte, 32<<10)
	for r.Context().Err() == nil {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func hangsInBody(w http.ResponseWriter, r *http.Request, _ int) {
	_, _ = w.Write([]byte("begin"))
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func TestOperators(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		var answer atomic.Int32
		answer.Store(500)
		r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(int(answer.Load())) })
		store := open()
		s := sender(t, store, quick())
		var ids []string
		for range 5 {
			n := hook(r)
			n.URL += "?token=querysecret"
			n.Body, n.Header = []byte("bodysecret"), map[string]string{"X-Key": "headersecret"}
			send(t, s, n)
			ids = append(ids, n.ID)
		}
		no := hook(receive(t, with(403)))
		no.Subscription = "sub-2"
		send(t, s, no)
		for _, id := range ids {
			becomes(t, store, id, notify.Dead)
		}
		becomes(t, store, no.ID, notify.Refused)
		lists(t, store, ids, no)
		answer.Store(200)
		acts(t, s, store, ids)
	})
}

// lists wants some ids listed as dead, two a page, and one notification as refused, and nothing shown that is secret.
func lists(t *testing.T, store notify.Store, dead []string, refused notify.Notification) {
	t.Helper()
	listed := pages(t, store, notify.Filter{State: notify.Dead, Limit: 2})
	if len(listed) != len(dead) {
		t.Errorf("%d dead are listed", len(listed))
	}
	if text := fmt.Sprintf("%+v", listed); strings.Contains(text, "querysecret") || strings.Contains(text, "bodysecret") || strings.Contains(text, "headersecret") {
		t.Errorf("a list shows %s", text)
	}
	if all := pages(t, store, notify.Filter{State: notify.Refused, Subscription: "sub-1"}); len(all) != 0 {
		t.Errorf("another subscription's: %v", all)
	}
	all := pages(t, store, notify.Filter{State: notify.Refused, Subscription: refused.Subscription})
	if len(all) != 1 || all[0].ID != refused.ID || all[0].URL != refused.URL || all[0].Trip != "trip-1" {
		t.Errorf("refused: %v", all)
	}
	if stats, err := store.Stats(t.Context()); err != nil || stats != (notify.Stats{Dead: len(dead), Refused: 1}) {
		t.Errorf("%+v, %v", stats, err)
	}
}

// acts has one of the dead tried again, and another dropped.
func acts(t *testing.T, s *notify.Sender, store notify.Store, dead []string) {
	t.Helper()
	if err := s.Retry(t.Context(), dead[0]); err != nil {
		t.Error(err)
	}
	becomes(t, store, dead[0], notify.Delivered)
	if err := s.Retry(t.Context(), dead[0]); !errors.Is(err, notify.ErrDelivered) {
		t.Errorf("one that is delivered is tried again: %v", err)
	}
	if err := store.Drop(t.Context(), dead[1]); err != nil {
		t.Error(err)
	}
	for _, f := range []func(context.Context, string) error{store.Drop, store.Retry} {
		if err := f(t.Context(), dead[1]); !errors.Is(err, notify.ErrUnknown) {
			t.Errorf("one that was dropped: %v", err)
		}
	}
	if _, err := store.Show(t.Context(), dead[1]); !errors.Is(err, notify.ErrUnknown) {
		t.Errorf("one that was dropped: %v", err)
	}
}

// pages lists all pages.
func pages(t *testing.T, store notify.Store, f notify.Filter) (all []notify.Entry) {
	t.Helper()
	for {
		page, after, err := store.List(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if f.Limit > 0 && len(page) > f.Limit {
			t.Errorf("a page of %d has %d entries", f.Limit, len(page))
		}
		if after == "" {
			return all
		}
		f.After = after
	}
}

// TestASecondSend sends nothing, whether the first one is open or delivered.
func TestASecondSend(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		r := receive(t, nil)
		store := open()
		s := sender(t, store, quick())
		n := hook(r)
		for range 10 {
			send(t, s, n)
		}
		becomes(t, store, n.ID, notify.Delivered)
		send(t, s, n)
		last := hook(r)
		send(t, s, last)
		becomes(t, store, last.ID, notify.Delivered)
		if had := r.counts(); had[n.ID] != 1 || had[last.ID] != 1 {
			t.Errorf("%v", had)
		}
	})
}

func TestLogAndMetrics(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		log, registry := new(logs), prometheus.NewRegistry()
		c := quick()
		c.Log, c.Metrics = zerolog.New(log), registry
		store := open()
		s := sender(t, store, c)
		r := receive(t, func(w http.ResponseWriter, _ *http.Request, n int) {
			w.WriteHeader(map[bool]int{true: 500, false: 200}[n == 1])
			_, _ = w.Write([]byte("answersecret"))
		})
		n := hook(r)
		n.URL += "/pathsecret?x=querysecret"
		n.Body, n.Header = []byte("bodysecret"), map[string]string{"X-Key": "headersecret"}
		send(t, s, n)
		becomes(t, store, n.ID, notify.Delivered)
		eventually(t, "each attempt is logged", func() bool { return strings.Count(log.String(), n.ID) == 2 })
		text := log.String()
		for _, want := range []string{`"subscription":"sub-1"`, `"attempt":1`, `"attempt":2`, `"status":500`, `"status":200`, `"took":`, `"outcome":"delivered"`} {
			if !strings.Contains(text, want) {
				t.Errorf("the log has no %s: %s", want, text)
			}
		}
		if strings.Contains(text, "bodysecret") || strings.Contains(text, "headersecret") || strings.Contains(text, "querysecret") ||
			strings.Contains(text, "pathsecret") || strings.Contains(text, "answersecret") || strings.Contains(text, strings.TrimPrefix(secret, "whsec_")) {
			t.Errorf("the log shows %s", text)
		}
		for line, want := range map[string]float64{
			"syncgate_notify_attempts_total status": 1, "syncgate_notify_attempts_total delivered": 1, "syncgate_notify_attempts_total timeout": 0,
			"syncgate_notify_open": 0, "syncgate_notify_undelivered dead": 0, "syncgate_notify_oldest_open_seconds": 0,
		} {
			if got, ok := metric(t, registry, line); !ok || got != want {
				t.Errorf("%s: %v", line, got)
			}
		}
	})
}

// metric gives the value of a metric, whose name may be followed by a space and its label.
func metric(t *testing.T, registry *prometheus.Registry, line string) (float64, bool) {
	t.Helper()
	found, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			if name == line {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue(), true
			}
		}
	}
	return 0, false
}

func TestFull(t *testing.T) {
	for name, start := range stores(t) {
		t.Run(name, func(t *testing.T) {
			r := receive(t, with(500))
			c := quick()
			c.Schedule, c.Window = []time.Duration{0, time.Hour}, day
			s := sender(t, start(t, 3)(), c)
			for i := range 4 {
				if err := s.Send(t.Context(), hook(r)); errors.Is(err, notify.ErrFull) != (i == 3) {
					t.Errorf("notification %d: %v", i+1, err)
				}
			}
		})
	}
}

// TestInvalid has notifications that cannot be sent refused before they are stored.
func TestInvalid(t *testing.T) {
	t.Parallel()
	store := notify.NewMemory(10, 1<<20)
	s := sender(t, store, quick())
	ok := notify.Notification{ID: "msg_1", URL: "https://8.8.8.8/"}
	many := make(map[string]string)
	for i := range 40 {
		many["X-"+strconv.Itoa(i)] = "v"
	}
	for name, change := range map[string]func(n *notify.Notification){
		"no id":                 func(n *notify.Notification) { n.ID = "" },
		"an id with a dot":      func(n *notify.Notification) { n.ID = "a.b" },
		"an id that is long":    func(n *notify.Notification) { n.ID = strings.Repeat("x", 129) },
		"a subscription's line": func(n *notify.Notification) { n.Subscription = "a\nb" },
		"a secret":              func(n *notify.Notification) { n.Secrets = []signer.Secret{"s3cret"} },
		"many secrets":          func(n *notify.Notification) { n.Secrets = make([]signer.Secret, 9) },
		"the signature":         func(n *notify.Notification) { n.Header = map[string]string{"webhook-signature": "v1,x"} },
		"the host":              func(n *notify.Notification) { n.Header = map[string]string{"host": "x"} },
		"a header's line":       func(n *notify.Notification) { n.Header = map[string]string{"X": "a\r\nY: b"} },
		"a header's name":       func(n *notify.Notification) { n.Header = map[string]string{"X Y": "a"} },
		"a header twice":        func(n *notify.Notification) { n.Header = map[string]string{"x-a": "a", "X-A": "b"} },
		"a large body":          func(n *notify.Notification) { n.Body = make([]byte, notify.MaxBody+1) },
		"many headers":          func(n *notify.Notification) { n.Header = many },
		"a large header":        func(n *notify.Notification) { n.Header = map[string]string{"X": strings.Repeat("x", 9<<10)} },
	} {
		n := ok
		change(&n)
		var invalid *notify.InvalidError
		if err := s.Send(t.Context(), n); !errors.As(err, &invalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	n := ok
	n.URL = "https://10.0.0.1/"
	var refused *notify.RefusedError
	if err := s.Send(t.Context(), n); !errors.As(err, &refused) {
		t.Errorf("a private address: %v", err)
	}
	if stats, _ := store.Stats(t.Context()); stats.Open != 0 {
		t.Errorf("%d are stored", stats.Open)
	}
}
