package cancelqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"syncgate/internal/eventloop"
	"syncgate/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logs are lines of a log.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// trip is the name of a task.
type trip string

func (t trip) String() string { return string(t) }

// desk is a queue and an engine. Each request waits for the status that the test gives it.
type desk struct {
	*Queue
	t      *testing.T
	log    *logs
	client *upstream.Client
	asked  chan string   // paths
	say    chan int      // statuses; 0: the connection is reset
	ended  chan struct{} // closed with the test
}

const pause = 50 * time.Millisecond

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, log: new(logs), asked: make(chan string, 10_000), say: make(chan int), ended: make(chan struct{})}
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.asked <- r.URL.Path
		select {
		case status := <-d.say:
			if status == 0 {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(status)
		case <-d.ended:
		}
	}))
	g, err := eventloop.NewGroup(eventloop.Options{})
	if err == nil {
		err = g.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg := upstream.Config{URL: engine.URL, Timeout: 10 * time.Second, Idle: 10 * time.Second, MaxConnections: 2}
	if d.client, err = upstream.New(cfg, g, upstream.Options{Log: zerolog.Nop()}); err != nil {
		t.Fatal(err)
	}
	d.Queue = New(zerolog.New(d.log))
	d.pause = pause
	t.Cleanup(func() {
		close(d.ended)
		d.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		d.client.Close(ctx)
		g.Close()
		engine.Close()
	})
	return d
}

// ask has the engine asked to cancel a task.
func (d *desk) ask(name string) {
	d.Ask(Request{Client: d.client, Engine: "flow", Trip: trip(name), Append: func(dst []byte, _ time.Time) ([]byte, error) {
		return fmt.Appendf(dst, "DELETE /%s HTTP/1.1\r\nHost: engine\r\n\r\n", name), nil
	}})
}

// next wants a request for a task, and answers it.
func (d *desk) next(name string, status int) {
	d.t.Helper()
	select {
	case path := <-d.asked:
		if path != "/"+name {
			d.t.Errorf("the engine is asked for %s, want /%s", path, name)
		}
		d.say <- status
	case <-time.After(10 * time.Second):
		d.t.Fatalf("the engine is not asked for %s within 10 s", name)
	}
}

// none wants that the engine is not asked for a while.
func (d *desk) none() {
	d.t.Helper()
	select {
	case path := <-d.asked:
		d.t.Errorf("the engine is asked for %s", path)
	case <-time.After(3 * pause):
	}
}

// waiting is how many requests are open.
func (d *desk) waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.open)
}

// settled waits until no request is open.
func (d *desk) settled() {
	d.t.Helper()
	for end := time.Now().Add(10 * time.Second); d.waiting() > 0; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatalf("%d requests are open after 10 s", d.waiting())
		}
	}
}

// says wants a line of the log, or none.
func (d *desk) says(part string, times int) {
	d.t.Helper()
	if got := strings.Count(d.log.String(), part); got != times {
		d.t.Errorf("%q is %d times in the log, want %d:\n%s", part, got, times, d.log)
	}
}

// TestAskedAgain: an engine that may do it later is asked five times, each time after a longer pause.
func TestAskedAgain(t *testing.T) {
	d := newDesk(t)
	began := time.Now()
	d.ask("a")
	for _, status := range []int{500, 429, 408, 0, 503} {
		d.next("a", status)
	}
	if took := time.Since(began); took < 15*pause {
		t.Errorf("it is asked five times within %v", took)
	}
	d.settled()
	d.none()
	d.says(`"message":"an engine could not be asked to cancel a task"`, 1)
	d.says(`"trip":"a","engine":"flow","attempts":5,"status":503`, 1)

	d.ask("b") // what an earlier attempt came to is over
	for _, status := range []int{503, 0, 0, 0, 0} {
		d.next("b", status)
	}
	d.settled()
	d.says(`"attempts":5,"error":`, 1)
	d.ask("c")
	d.next("c", 503)
	d.next("c", 204)
	d.settled()
	d.none()
	d.says(`"trip":"c"`, 0)
}

// TestAnswersThatEndIt: what the engine says for good is asked for once. It is a warning where the task may go on.
func TestAnswersThatEndIt(t *testing.T) {
	d := newDesk(t)
	for status, warned := range map[int]bool{200: false, 204: false, 404: false, 409: false, 410: false, 302: true, 400: true, 401: true, 422: true} {
		name := fmt.Sprint("s", status)
		d.ask(name)
		d.next(name, status)
		d.settled()
		times := 0
		if warned {
			times = 1
		}
		d.says(`"trip":"`+name+`"`, times)
	}
	d.none()
	d.says(`"message":"an engine has refused to cancel a task"`, 4)
}

// TestNoSuchRequest: an engine that cannot be asked for a task is not asked.
func TestNoSuchRequest(t *testing.T) {
	d := newDesk(t)
	d.Ask(Request{Client: d.client, Trip: trip("a"), Append: func(dst []byte, _ time.Time) ([]byte, error) { return dst, errors.New("no id") }})
	d.settled()
	d.none()
	d.says(`"message":"an engine cannot be asked to cancel a task"`, 1)
	d.says("no id", 1)
}

// TestOpenRequestsAreBounded: there is a place again as soon as one has ended.
func TestOpenRequestsAreBounded(t *testing.T) {
	d := newDesk(t)
	for range mostOpen {
		d.ask("a")
	}
	d.ask("too-many")
	d.says(`"trip":"too-many","message":"an engine is not asked to cancel a task: too many such requests are open"`, 1)
	for range mostOpen {
		d.next("a", 204)
	}
	d.settled()
	d.ask("b")
	d.next("b", 204)
	d.settled()
}

// TestCloseGivesUp what waits, says so, and takes nothing more.
func TestCloseGivesUp(t *testing.T) {
	d := newDesk(t)
	d.ask("a")
	d.next("a", 503)
	d.ask("b")
	for end := time.Now().Add(10 * time.Second); ; <-time.After(time.Millisecond) {
		d.mu.Lock()
		waits := 0
		for _, timer := range d.open {
			if timer != nil {
				waits++
			}
		}
		d.mu.Unlock()
		if waits == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it does not wait for another attempt")
		}
	}
	d.Close()
	d.says(`"tasks":1,"message":"engines were not asked to cancel: the node ends"`, 1)
	d.ask("c")
	d.next("b", 503) // it is under way, and is the last
	d.settled()
	d.none()
	d.says(`"trip":"b","engine":"flow","attempts":1`, 1)
}
