package redistest_test

import (
	"strings"
	"testing"
	"time"

	"syncgate/internal/redistest"
)

func TestServer(t *testing.T) {
	for name, s := range map[string]*redistest.Server{
		"unix":    redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always"),
		"tcp":     redistest.StartTCP(t, "--appendonly", "yes", "--appendfsync", "always"),
		"cluster": redistest.StartCluster(t),
	} {
		t.Run(name, func(t *testing.T) {
			want := "v\r\nw"
			if name == "cluster" {
				want = "$-1" // nothing is persisted unless asked for
			}
			restarts(t, s, want)
			pauses(t, s)
		})
	}
}

// restarts has a server that holds a value killed and started. It then has to hold want.
func restarts(t *testing.T, s *redistest.Server, want string) {
	t.Helper()
	if got := s.Do("SET", "k", "v\r\nw"); got != "+OK" {
		t.Fatalf("SET: %s", got)
	}
	url := s.URL()
	s.Kill()
	s.Kill()
	s.Restart()
	if s.URL() != url || !strings.HasSuffix(url, s.Addr()) {
		t.Errorf("moved from %s to %s", url, s.URL())
	}
	if got := s.Do("GET", "k"); got != want {
		t.Errorf("after the restart: %q", got)
	}
}

// pauses has a server stopped that answers when it goes on.
func pauses(t *testing.T, s *redistest.Server) {
	t.Helper()
	s.Pause()
	answer := make(chan string, 1)
	go func() { answer <- s.Do("PING") }()
	select {
	case got := <-answer:
		t.Errorf("a paused server answers %s", got)
	case <-time.After(50 * time.Millisecond):
	}
	s.Resume()
	if got := <-answer; got != "+PONG" {
		t.Errorf("resumed: %s", got)
	}
}
