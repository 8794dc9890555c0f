package hooksim_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"syncgate/internal/hooksim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const body = `{"UUID":"u","status":"Succeeded","data":{"n":1}}`

// post sends a notification, and gives the status of its answer: 0 for none.
func post(t *testing.T, url, id string) int {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("webhook-id", id)
	// Its connection stays open: one that closes at once could be taken for that of a client that has not heard the answer.
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	c := http.Client{Transport: transport, Timeout: 300 * time.Millisecond}
	r, err := c.Do(q)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, r.Body) // or the connection closes
	_ = r.Body.Close()
	return r.StatusCode
}

func TestSim(t *testing.T) {
	s, err := hooksim.Start(hooksim.Config{Hosts: 2, Verify: func(h http.Header, _ []byte) error {
		if h.Get("webhook-id") == "forged" {
			return errors.New("it is forged")
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f := func(want int, host int, name, id string) {
		t.Helper()
		if got := post(t, s.URL(host, name), id); got != want {
			t.Errorf("%s: %d, want %d", id, got, want)
		}
	}
	f(200, 0, "a", "1")
	f(200, 1, "b", "forged")
	s.Answers(hooksim.Hang)
	f(0, 0, "a", "2")
	awaitCounts(t, s, 3, 2) // the end of what hangs is noted before the next begins
	s.Answers(func(_ http.ResponseWriter, _ *http.Request, n int) int { return 500 + n })
	f(502, 1, "a", "2")
	s.Down()
	f(0, 0, "a", "3")
	if err := s.Up(); err != nil {
		t.Fatal(err)
	}
	f(501, 0, "a", "3")
	awaitCounts(t, s, 5, 2)
	wantVisits(t, s)
}

// awaitCounts waits until so many requests came and were accepted, and none runs: what came of one is noted when its answer has left.
func awaitCounts(t *testing.T, s *hooksim.Sim, wantCame, wantAccepted int) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		came, running, accepted := s.Count()
		if came == wantCame && running == 0 && accepted == wantAccepted {
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-late:
			t.Fatalf("%d, %d, %d", came, running, accepted)
		}
	}
}

// wantVisits wants what TestSim has sent.
func wantVisits(t *testing.T, s *hooksim.Sim) {
	t.Helper()
	all := s.All()
	if v := all["b"][0]; len(all["b"]) != 1 || v[0].Wrong != "it is forged" || v[0].Answered != 200 {
		t.Errorf("%+v", v)
	}
	for _, v := range s.Visits("a") {
		switch {
		case v[0].Data != `{"n":1}` || v[0].UUID != "u" || v[0].Status != "Succeeded" || v[0].Wrong != "" || v.Overlapping() != "":
			t.Errorf("%+v", v)
		case v[0].ID == "2" && (len(v) != 2 || v[0].Answered != 0 || v[1].Answered != 502):
			t.Errorf("%+v", v)
		}
	}
}
