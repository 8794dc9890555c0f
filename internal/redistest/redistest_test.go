package redistest_test

import (
	"strings"
	"testing"

	"syncgate/internal/redistest"
)

func TestServer(t *testing.T) {
	for name, s := range map[string]*redistest.Server{
		"unix":    redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always"),
		"tcp":     redistest.StartTCP(t, "--appendonly", "yes", "--appendfsync", "always"),
		"cluster": redistest.StartCluster(t),
	} {
		t.Run(name, func(t *testing.T) {
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
			want := "v\r\nw"
			if name == "cluster" {
				want = "$-1" // nothing is persisted unless asked for
			}
			if got := s.Do("GET", "k"); got != want {
				t.Errorf("after the restart: %q", got)
			}
			s.Pause()
			answer := make(chan string, 1)
			go func() { answer <- s.Do("PING") }()
			if len(answer) > 0 {
				t.Error("a paused server answers")
			}
			s.Resume()
			if got := <-answer; got != "+PONG" {
				t.Errorf("resumed: %s", got)
			}
		})
	}
}
