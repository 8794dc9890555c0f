package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/notify"
)

// outbox makes an Outbox that the end of the test closes. It is not started.
func outbox(t testing.TB, store notify.OutboxStore, c notify.OutboxConfig) *notify.Outbox {
	t.Helper()
	o, err := notify.NewOutbox(store, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = o.Close(ctx)
	})
	return o
}

// quickly is an OutboxConfig whose times are short.
func quickly() notify.OutboxConfig {
	return notify.OutboxConfig{Poll: 50 * time.Millisecond, Lease: 2 * time.Second, Backoff: 50 * time.Millisecond}
}

// pushes counts what a PushFunc is called for.
type pushes struct {
	// answer gives what the nth look at a task comes to, 1 for the first; nil: it is done.
	answer func(ctx context.Context, task correlator.ID, n int, sent bool) (time.Duration, bool, error)

	mu      sync.Mutex
	of      map[correlator.ID]int
	running int
	most    int
}

func (p *pushes) push(ctx context.Context, task correlator.ID, sent bool) (time.Duration, bool, error) {
	p.mu.Lock()
	if p.of == nil {
		p.of = make(map[correlator.ID]int)
	}
	p.of[task]++
	n := p.of[task]
	p.running++
	p.most = max(p.most, p.running)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.running--
		p.mu.Unlock()
	}()
	if p.answer == nil {
		return 0, true, nil
	}
	return p.answer(ctx, task, n, sent)
}

func (p *pushes) count(task correlator.ID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of[task]
}

func (p *pushes) all() (tasks int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.of)
}

// empties waits until a store keeps no tasks.
func empties(t testing.TB, store notify.OutboxStore) {
	t.Helper()
	eventually(t, "all are done", func() bool {
		kept, _, err := store.Count(t.Context())
		return err == nil && kept == 0
	})
}

// TestOutboxLooks has a task looked at at once, again after the time that its look says, and no more when it is done.
func TestOutboxLooks(t *testing.T) {
	eachOutbox(t, 100, func(t *testing.T, open func() notify.OutboxStore) {
		store := open()
		said := make(chan bool, 3)
		p := &pushes{answer: func(_ context.Context, _ correlator.ID, n int, sent bool) (time.Duration, bool, error) {
			said <- sent
			if n < 3 {
				return 100 * time.Millisecond, n == 1, nil // sent stays true
			}
			return 0, false, nil
		}}
		o := outbox(t, store, quickly())
		task, begin := newTask(), time.Now()
		owe(t, o, task, time.Hour, false)
		o.Look(newTask()) // it is not kept
		o.Look(task)      // before Start
		o.Start(p.push)
		empties(t, store)
		if after := time.Since(begin); after < 200*time.Millisecond {
			t.Errorf("three looks took %v", after)
		}
		if first, second, third := <-said, <-said, <-said; first || !second || !third {
			t.Errorf("sent is %v, %v, %v", first, second, third)
		}
		o.Look(task) // a repeat of the engine's, long after
		last := newTask()
		owe(t, o, last, 0, true)
		eventually(t, "the last one is looked at", func() bool { return p.count(last) == 1 })
		if p.count(task) != 3 || p.all() != 2 {
			t.Errorf("%v", p.of)
		}
	})
}

// TestOutboxLooksAgain has a task looked at again where Look comes during a look, however often it comes, and never twice at the same time.
func TestOutboxLooksAgain(t *testing.T) {
	eachOutbox(t, 100, func(t *testing.T, open func() notify.OutboxStore) {
		began, goOn := make(chan int), make(chan struct{})
		p := &pushes{answer: func(_ context.Context, _ correlator.ID, n int, _ bool) (time.Duration, bool, error) {
			began <- n
			<-goOn
			return time.Hour, false, nil
		}}
		o := outbox(t, open(), quickly())
		o.Start(p.push)
		task := newTask()
		owe(t, o, task, time.Hour, false)
		o.Look(task)
		<-began
		for range 10 {
			o.Look(task)
		}
		goOn <- struct{}{}
		if n := <-began; n != 2 || p.most != 1 {
			t.Errorf("look %d, %d at once", n, p.most)
		}
		goOn <- struct{}{}
		other := newTask()
		owe(t, o, other, 0, false)
		<-began
		goOn <- struct{}{}
		if p.count(task) != 2 {
			t.Errorf("%d looks", p.count(task))
		}
	})
}

// TestOutboxIsBusy has more looks come than there are workers and places: none is forgotten, and no caller waits.
func TestOutboxIsBusy(t *testing.T) {
	const all, workers, places = 200, 4, 10
	eachOutbox(t, 2*all, func(t *testing.T, open func() notify.OutboxStore) {
		store, goOn := open(), make(chan struct{})
		p := &pushes{answer: func(context.Context, correlator.ID, int, bool) (time.Duration, bool, error) {
			<-goOn
			return 0, true, nil
		}}
		c := quickly()
		c.Workers, c.Queue = workers, places
		o := outbox(t, store, c)
		o.Start(p.push)
		var tasks []correlator.ID
		for i := range all {
			tasks = append(tasks, newTask())
			owe(t, o, tasks[i], time.Hour, false)
		}
		for _, task := range tasks {
			o.Look(task)
		}
		eventually(t, "all workers look", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.running == workers
		})
		close(goOn)
		empties(t, store)
		for _, task := range tasks {
			if n := p.count(task); n != 1 {
				t.Errorf("%d looks", n)
			}
		}
		if p.most > workers {
			t.Errorf("%d looks at once", p.most)
		}
	})
}

// TestOutboxNodes has two nodes look at what is due, each task once.
func TestOutboxNodes(t *testing.T) {
	const all = 300
	eachOutbox(t, 2*all, func(t *testing.T, open func() notify.OutboxStore) {
		p := new(pushes)
		for range 2 {
			outbox(t, open(), quickly()).Start(p.push)
		}
		store := open()
		for range all {
			owe(t, store, newTask(), 0, false)
		}
		empties(t, store)
		for task, n := range p.of {
			if n != 1 {
				t.Errorf("%v: %d looks", task, n)
			}
		}
		if p.all() != all {
			t.Errorf("%d tasks", p.all())
		}
	})
}

// fails has odd looks fail and even ones panic, but for the 10th and the 12th, which is the last. It says when each was.
func fails(at chan<- time.Time) *pushes {
	return &pushes{answer: func(_ context.Context, _ correlator.ID, n int, _ bool) (time.Duration, bool, error) {
		at <- time.Now()
		switch {
		case n == 10:
			return time.Second, false, nil
		case n == 12:
			return 0, false, nil
		case n%2 == 0:
			panic("a fault with a secret")
		}
		return 0, false, errors.New("no luck")
	}}
}

// TestOutboxBacksOff has a task fail, and panic: the time between its looks doubles up to a minute, and begins anew after a look that succeeds.
func TestOutboxBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, registry, at := new(logs), prometheus.NewRegistry(), make(chan time.Time, 20)
		o := outbox(t, notify.NewMemoryOutbox(0), notify.OutboxConfig{Log: zerolog.New(log), Metrics: registry})
		o.Start(fails(at).push)
		owe(t, o, newTask(), 0, false)
		<-time.After(10 * time.Minute)
		if len(at) != 12 {
			t.Fatalf("%d looks", len(at))
		}
		before := <-at
		for i, seconds := range []float64{1, 2, 4, 8, 16, 32, 60, 60, 60, 1, 1} {
			now := <-at
			if gap := now.Sub(before).Seconds(); gap < seconds*3/4 || gap > seconds+1 {
				t.Errorf("after look %d it waited %v s, want %v s", i+1, gap, seconds)
			}
			before = now
		}
		measures(t, registry, map[string]float64{
			"syncgate_outbox_tasks": 0, "syncgate_outbox_late_seconds": 0, "syncgate_outbox_looks_total error": 10,
			"syncgate_outbox_looks_total again": 1, "syncgate_outbox_looks_total done": 1, "syncgate_outbox_looks_total unknown": 0,
		})
		text := log.String()
		if strings.Contains(text, "secret") || !strings.Contains(text, "no luck") || !strings.Contains(text, "panicked") {
			t.Errorf("the log: %s", text)
		}
	})
}

// measures wants metrics to have values.
func measures(t *testing.T, registry *prometheus.Registry, want map[string]float64) {
	t.Helper()
	for line, value := range want {
		if got, ok := metric(t, registry, line); !ok || got != value {
			t.Errorf("%s: %v", line, got)
		}
	}
}

// TestOutboxLogIsBounded has a thousand tasks fail at once: a second has one line, which counts the others.
func TestOutboxLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(logs)
		p := &pushes{answer: func(context.Context, correlator.ID, int, bool) (time.Duration, bool, error) {
			return 0, false, errors.New("no luck")
		}}
		store := notify.NewMemoryOutbox(0)
		o := outbox(t, store, notify.OutboxConfig{Log: zerolog.New(log)})
		for range 1000 {
			owe(t, o, newTask(), 0, false)
		}
		o.Start(p.push)
		<-time.After(4500 * time.Millisecond)
		lines, counted := 0, 0
		for line := range strings.Lines(log.String()) {
			var said struct{ More int }
			if err := json.Unmarshal([]byte(line), &said); err != nil {
				t.Error(err)
			}
			lines, counted = lines+1, counted+1+said.More
		}
		if lines < 2 || lines > 6 || counted < 1000 {
			t.Errorf("%d lines about %d: %s", lines, counted, log)
		}
	})
}

// TestOutboxIsLate has the metric say for how long a task has been due that nobody looks at.
func TestOutboxIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		o := outbox(t, notify.NewMemoryOutbox(0), notify.OutboxConfig{Metrics: registry}) // it is not started
		owe(t, o, newTask(), time.Second, false)
		owe(t, o, newTask(), time.Hour, false)
		<-time.After(11 * time.Second)
		measures(t, registry, map[string]float64{"syncgate_outbox_tasks": 2, "syncgate_outbox_late_seconds": 10})
	})
}

// TestOutboxCloses has what runs end, and what waits be due for other nodes.
func TestOutboxCloses(t *testing.T) {
	eachOutbox(t, 100, func(t *testing.T, open func() notify.OutboxStore) {
		store, began, goOn := open(), make(chan struct{}, 10), make(chan struct{})
		p := &pushes{answer: func(context.Context, correlator.ID, int, bool) (time.Duration, bool, error) {
			began <- struct{}{}
			<-goOn
			return 0, true, nil
		}}
		c := quickly()
		c.Workers = 1
		o := outbox(t, store, c)
		o.Start(p.push)
		runs, waits := newTask(), newTask()
		owe(t, o, runs, time.Hour, false)
		owe(t, o, waits, time.Hour, false)
		o.Look(runs)
		<-began
		o.Look(waits)
		closed := make(chan error)
		go func() { closed <- o.Close(t.Context()) }()
		select {
		case err := <-closed:
			t.Fatalf("Close does not wait: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		close(goOn)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		due(t, open(), time.Hour, notify.Owed{Task: waits})
		o.Look(waits) // nothing comes of it
		if err := o.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if p.all() != 1 {
			t.Errorf("%d tasks were looked at", p.all())
		}
	})
}

// TestOutboxIsCutOff has Close wait no longer: the looks are cut off, and are due at once.
func TestOutboxIsCutOff(t *testing.T) {
	eachOutbox(t, 100, func(t *testing.T, open func() notify.OutboxStore) {
		store, began := open(), make(chan struct{})
		p := &pushes{answer: func(ctx context.Context, _ correlator.ID, _ int, _ bool) (time.Duration, bool, error) {
			close(began)
			<-ctx.Done()
			return 0, true, ctx.Err()
		}}
		c := quickly()
		c.Lease = time.Hour
		o := outbox(t, store, c)
		o.Start(p.push)
		task := newTask()
		owe(t, o, task, 0, false)
		<-began
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := o.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		due(t, store, time.Hour, notify.Owed{Task: task, Sent: true})
	})
}

// TestOutboxLookEnds has a look take longer than the lease: its context ends, and the task is looked at again.
func TestOutboxLookEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, begin, took := notify.NewMemoryOutbox(0), time.Now(), make(chan time.Duration, 2)
		p := &pushes{answer: func(ctx context.Context, _ correlator.ID, n int, _ bool) (time.Duration, bool, error) {
			if n > 1 {
				took <- time.Since(begin)
				return 0, true, nil
			}
			<-ctx.Done()
			return 0, false, ctx.Err()
		}}
		o := outbox(t, store, notify.OutboxConfig{})
		task := newTask()
		owe(t, o, task, time.Hour, false)
		o.Look(task)
		o.Start(p.push)
		<-time.After(time.Minute)
		if len(took) != 1 {
			t.Fatalf("%d looks ended themselves", len(took))
		}
		if after := <-took; after < 30*time.Second || after > 33*time.Second {
			t.Errorf("the second look is after %v", after)
		}
	})
}

// TestOutboxLooksLate has tasks wait for the only worker for most of their leases. The one that Look asks for meanwhile is looked at then; the other one when
// its lease has ended, as another node may have it by the time that a look would end.
func TestOutboxLooksLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, begin, looks := notify.NewMemoryOutbox(0), time.Now(), make(chan string, 10)
		asked, other := newTask(), newTask()
		names := map[correlator.ID]string{asked: "asked", other: "other"}
		p := &pushes{answer: func(_ context.Context, task correlator.ID, _ int, _ bool) (time.Duration, bool, error) {
			if names[task] == "" {
				<-time.After(20 * time.Second)
				return 0, true, nil
			}
			looks <- fmt.Sprint(names[task], " ", time.Since(begin).Round(5*time.Second))
			return 0, true, nil
		}}
		o := outbox(t, store, notify.OutboxConfig{Workers: 4})
		for range 4 {
			busy := newTask()
			owe(t, store, busy, time.Hour, false)
			o.Look(busy)
		}
		o.Start(p.push)
		owe(t, store, asked, time.Second, false)
		owe(t, store, other, time.Second, false)
		<-time.After(5 * time.Second)
		o.Look(asked)
		<-time.After(time.Minute)
		if first, second := <-looks, <-looks; first != "asked 20s" || second != "other 30s" || len(looks) > 0 {
			t.Errorf("the looks are %s, %s, and %d more", first, second, len(looks))
		}
	})
}
