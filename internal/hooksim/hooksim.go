// Package hooksim is receivers of notifications, for tests: it keeps every request, answers as a test has it, and can be killed and started again.
package hooksim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"syncgate/internal/promises"
)

// Answer answers the nth request, 1 for the first, with a notification, and gives the status that it has written: or that is to be written, if it has written nothing.
// 0: none. It may wait until the request's context ends: the sender has gone, or Down has.
type Answer func(w http.ResponseWriter, q *http.Request, n int) (status int)

// Status is an Answer of one status.
func Status(status int) Answer {
	return func(http.ResponseWriter, *http.Request, int) int { return status }
}

// Hang answers nothing.
func Hang(_ http.ResponseWriter, q *http.Request, _ int) int {
	<-q.Context().Done()
	return 0
}

// Config says how receivers are. The zero value is one that takes everything.
type Config struct {
	Hosts  int                                         // receivers, each at a port of its own; 0: 1
	Verify func(header http.Header, body []byte) error // finds what is wrong with a request; nil: nothing is
	Answer Answer                                      // nil: 200
}

const (
	// mostVisits bounds what is kept.
	mostVisits = 1 << 18
	// mostBody is how much of a body is read.
	mostBody = 1 << 20
)

// Sim is receivers. Its methods are safe for concurrent use.
type Sim struct {
	verify func(header http.Header, body []byte) error
	at     []string // the addresses of the receivers

	mu      sync.Mutex
	answer  Answer
	servers []*http.Server
	visits  map[visited]promises.Visits
	kept    int
	running sync.WaitGroup
}

// visited is one notification at one URL.
type visited struct{ name, id string }

// Start starts receivers on the loopback. They run until Close.
func Start(c Config) (*Sim, error) {
	s := &Sim{verify: c.Verify, answer: c.Answer, visits: make(map[visited]promises.Visits)}
	if s.answer == nil {
		s.answer = Status(http.StatusOK)
	}
	for range max(1, c.Hosts) {
		s.at = append(s.at, "127.0.0.1:0")
	}
	return s, s.Up()
}

// URL is where a receiver takes a notification, 0 for the first receiver. The name tells it from others.
func (s *Sim) URL(host int, name string) string {
	return "http://" + s.at[host%len(s.at)] + "/" + name
}

// Answers changes what requests are answered from now on.
func (s *Sim) Answers(a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = a
}

// Down ends all receivers at once: their connections break, and new ones are refused.
func (s *Sim) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range s.servers {
		_ = server.Close()
	}
	s.servers = nil
}

// Up starts receivers that are down, at their addresses.
func (s *Sim) Up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.servers != nil {
		return errors.New("hooksim: the receivers are up")
	}
	for i := range s.at {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.at[i])
		if err != nil {
			return fmt.Errorf("hooksim: %w", err)
		}
		s.at[i] = l.Addr().String()
		server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
		s.servers = append(s.servers, server)
		s.running.Go(func() { _ = server.Serve(l) })
	}
	return nil
}

// Close ends the receivers.
func (s *Sim) Close() {
	s.Down()
	s.running.Wait()
}

// Visits gives a copy of what has come to a name, each notification for itself.
func (s *Sim) Visits(name string) (all []promises.Visits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, v := range s.visits {
		if at.name == name {
			all = append(all, append(promises.Visits(nil), v...))
		}
	}
	return all
}

// All gives a copy of all that has come, by name.
func (s *Sim) All() map[string][]promises.Visits {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string][]promises.Visits)
	for at, v := range s.visits {
		all[at.name] = append(all[at.name], append(promises.Visits(nil), v...))
	}
	return all
}

// Count gives how many requests have come, how many of them run, and how many notifications have had a 2xx.
func (s *Sim) Count() (came, running, accepted int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.visits {
		if v.Accepted() > 0 {
			accepted++
		}
		for _, each := range v {
			if each.Ended.IsZero() {
				running++
			}
		}
	}
	return s.kept, running, accepted
}

// ServeHTTP takes a request.
func (s *Sim) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	v := promises.Visit{ID: q.Header.Get("Webhook-Id"), Began: time.Now()}
	body, err := io.ReadAll(io.LimitReader(q.Body, mostBody))
	if err != nil {
		return // the sender was cut: it is no notification
	}
	s.check(&v, q, body)
	at := visited{strings.TrimPrefix(q.URL.Path, "/"), v.ID}
	n, answer := s.begin(at, v)
	if n == 0 {
		w.WriteHeader(http.StatusInsufficientStorage)
		return
	}
	status := 0
	defer func() { s.end(at, n, status) }() // an answer may panic to cut its connection
	status = s.reply(w, q, answer, n)
}

// check reads what a notification has, and finds what is wrong with it.
func (s *Sim) check(v *promises.Visit, q *http.Request, body []byte) {
	var said struct {
		UUID   string          `json:"UUID"`
		Status string          `json:"status"`
		Data   json.RawMessage `json:"data"`
	}
	err := json.Unmarshal(body, &said)
	if err == nil && s.verify != nil {
		err = s.verify(q.Header, body)
	}
	switch {
	case err != nil:
		v.Wrong = err.Error()
	case v.ID == "" || q.Method != http.MethodPost || said.UUID == "":
		v.Wrong = fmt.Sprintf("%s with webhook-id %q and UUID %q", q.Method, v.ID, said.UUID)
	}
	v.UUID, v.Status, v.Data = said.UUID, said.Status, string(said.Data)
}

// begin keeps a request. n is 0 where there is no more room.
func (s *Sim) begin(at visited, v promises.Visit) (n int, answer Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept >= mostVisits {
		return 0, nil
	}
	s.kept++
	s.visits[at] = append(s.visits[at], v)
	return len(s.visits[at]), s.answer
}

// reply writes an answer, and gives its status if the sender was still there.
func (s *Sim) reply(w http.ResponseWriter, q *http.Request, answer Answer, n int) (status int) {
	written := &writer{ResponseWriter: w}
	status = answer(written, q, n)
	if status == 0 {
		panic(http.ErrAbortHandler) // the connection ends without an answer
	}
	if !written.begun {
		w.WriteHeader(status)
	}
	if http.NewResponseController(w).Flush() != nil || q.Context().Err() != nil {
		return 0
	}
	return status
}

func (s *Sim) end(at visited, n, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &s.visits[at][n-1]
	v.Ended, v.Answered = time.Now(), status
}

// writer notes whether an Answer has written something.
type writer struct {
	http.ResponseWriter

	begun bool
}

func (w *writer) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(p)
}

// Unwrap lets a ResponseController reach the connection.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
