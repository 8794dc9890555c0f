package notify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"syncgate/notify"
)

// TestRoom is how slots and bytes bound what may be claimed.
func TestRoom(t *testing.T) {
	h := notify.NewHosts(20, 8)
	wants := func(what string, most int, free map[string]int) {
		t.Helper()
		if r := h.Room(); r.Most != most || r.Slots != 8 || !maps.Equal(r.Free, free) {
			t.Errorf("%s: %+v", what, r)
		}
	}
	wants("nothing runs", 16, map[string]int{})
	for range 5 {
		h.Begin("a", 1)
	}
	h.Begin("large", 40<<20)
	wants("two hosts", 14, map[string]int{"a": 3, "large": 0})
	h.End("a", 1, true)
	wants("a host is slow", 15, map[string]int{"a": 0, "large": 0})
	h.End("a", 1, false)
	wants("a host is slow no more", 16, map[string]int{"a": 5, "large": 0})
	h.End("large", 40<<20, true)
	wants("a slow host has nothing that runs", 16, map[string]int{"a": 5, "large": 1})
	for i := range 8 {
		h.Begin("large"+strconv.Itoa(i), 32<<20)
	}
	if r := h.Room(); r.Most != 0 {
		t.Errorf("256 MiB run: %+v", r)
	}
	for i := range 1000 {
		h.Begin("slow"+strconv.Itoa(i), 0)
		h.End("slow"+strconv.Itoa(i), 0, true)
	}
	r := h.Room()
	if len(r.Free) > 300 {
		t.Errorf("%d hosts are remembered", len(r.Free))
	}
	if r.Free["slow999"] != 1 {
		t.Error("the last slow host is not remembered")
	}
}

// TestMemoryIsBounded has a store of 10 notifications and 1000 bytes forget what ended, and refuse what it has no room for.
func TestMemoryIsBounded(t *testing.T) {
	m, ctx := notify.NewMemory(10, 1000), t.Context()
	room := notify.Room{Most: 100, Slots: 100, Lease: time.Minute, Grace: time.Minute}
	for _, row := range []struct {
		state      notify.State
		size, want int
	}{{notify.Delivered, 300, 10}, {notify.Dead, 0, 10}, {notify.Dead, 300, 3}} {
		var ids []string
		for i := range 50 {
			id := fmt.Sprint(row.state, row.size, "-", i)
			if err := m.Put(ctx, notify.Record{ID: id, Host: "h", Body: make([]byte, row.size)}); err != nil {
				t.Fatal(err)
			}
			finish(t, m, claim(t, m, room, 1)[id], row.state)
			ids = append(ids, id)
		}
		ids = slices.DeleteFunc(ids, func(id string) bool {
			_, err := m.Show(ctx, id)
			return err != nil
		})
		if len(ids) != row.want {
			t.Errorf("%d of %d bytes are known as %s", len(ids), row.size, row.state)
		}
	}
	for i := range 4 {
		err := m.Put(ctx, notify.Record{ID: strconv.Itoa(i), Host: "h", Body: make([]byte, 300)})
		if errors.Is(err, notify.ErrFull) != (i == 3) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if stats, err := m.Stats(ctx); err != nil || stats.Open != 3 || stats.Dead != 0 {
		t.Errorf("%+v, %v", stats, err)
	}
}

// TestLateClaims has a claim answered so late that it may be another's: nothing is sent for it.
func TestLateClaims(t *testing.T) {
	r := receive(t, nil)
	store := notify.NewMemory(10, 1<<20)
	s := sender(t, &lateStore{Store: store}, quick())
	n := hook(r)
	send(t, s, n)
	if e := becomes(t, store, n.ID, notify.Delivered); e.Attempts != 1 {
		t.Errorf("%+v", e)
	}
	r.came(t, 1, 1)
}

// lateStore gives the first job after the grace.
type lateStore struct {
	notify.Store
	late atomic.Bool
}

func (s *lateStore) Claim(ctx context.Context, room notify.Room) ([]notify.Job, time.Duration, error) {
	jobs, next, err := s.Store.Claim(ctx, room)
	if len(jobs) > 0 && !s.late.Swap(true) {
		<-time.After(room.Grace + 50*time.Millisecond)
	}
	return jobs, next, err
}

// TestPanicsAreFailures has Gone panic: the notification dies when its window is over. Stands that panics has the attempt made.
func TestPanicsAreFailures(t *testing.T) {
	t.Parallel()
	c := quick()
	c.Gone = func(context.Context, string) error { panic("bodysecret") }
	c.Stands = func(context.Context, string) (bool, error) { panic("bodysecret") }
	store := notify.NewMemory(10, 1<<20)
	s := sender(t, store, c)
	n, m := hook(receive(t, with(410))), hook(receive(t, nil))
	send(t, s, n)
	send(t, s, m)
	becomes(t, store, m.ID, notify.Delivered)
	if e := becomes(t, store, n.ID, notify.Dead); e.Last.Status != 410 || e.Last.Error == "" {
		t.Errorf("%+v", e.Last)
	}
}

// TestAPanicCostsOneAttempt has what hears of attempts panic: the notification is delivered once, and others are.
func TestAPanicCostsOneAttempt(t *testing.T) {
	t.Parallel()
	log, r := new(logs), receive(t, nil)
	c := quick()
	c.Log, c.PerHost = zerolog.New(log), 1
	c.Settled = func(string, string, notify.State, notify.Attempt) { panic("bodysecret") }
	c.Stands = func(_ context.Context, subscription string) (bool, error) {
		if subscription == "panics" && strings.Count(log.String(), "an attempt panicked") < 2 {
			panic("bodysecret")
		}
		return true, nil
	}
	store := notify.NewMemory(10, 1<<20)
	s := sender(t, store, c)
	n, m := hook(r), hook(r)
	m.Subscription = "panics"
	send(t, s, n)
	send(t, s, m)
	for _, id := range []string{n.ID, m.ID} {
		becomes(t, store, id, notify.Delivered)
	}
	r.came(t, 2, 1)
	if strings.Contains(log.String(), "bodysecret") {
		t.Errorf("the log shows %s", log)
	}
}

// TestNoHandshake has a receiver take connections and say nothing: the attempt's time-out ends the connection too.
func TestNoHandshake(t *testing.T) {
	t.Parallel()
	l, port := listen(t)
	ends := make(chan struct{}, 10)
	var reads sync.WaitGroup
	reads.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			reads.Go(func() {
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
				ends <- struct{}{}
			})
		}
	})
	store, c := notify.NewMemory(10, 1<<20), quick()
	s := sender(t, store, c)
	n := notify.Notification{ID: "silent", URL: "https://127.0.0.1:" + port}
	send(t, s, n)
	e := becomes(t, store, n.ID, notify.Dead)
	for range e.Attempts {
		select {
		case <-ends:
		case <-time.After(patience):
			t.Fatal("a connection stays")
		}
	}
	if e.Last.Outcome != notify.OutcomeTimeout {
		t.Errorf("%+v", e.Last)
	}
	_ = l.Close()
	reads.Wait()
}

// TestSwitchingProtocols has a receiver answer 101 and keep the connection: the attempt ends, and the connection with it.
func TestSwitchingProtocols(t *testing.T) {
	t.Parallel()
	ends := make(chan struct{})
	r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer close(ends)
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the connection stays: %v", err)
		}
	})
	c := quick()
	c.Schedule, c.Window = []time.Duration{0, time.Hour}, 2*time.Hour
	store := notify.NewMemory(10, 1<<20)
	s := sender(t, store, c)
	n := hook(r)
	send(t, s, n)
	<-ends
	if e := becomes(t, store, n.ID, notify.Open); e.Last.Outcome != notify.OutcomeStatus || e.Last.Status != 101 {
		t.Errorf("%+v", e.Last)
	}
}
