//go:build go1.25

package syncgate_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	syncgate "syncgate/clients/go"
)

// losing is a network that loses every request, after a while.
type losing struct {
	after    time.Duration
	requests int
}

func (l *losing) RoundTrip(*http.Request) (*http.Response, error) {
	l.requests++
	<-time.After(l.after)
	return nil, errors.New("lost")
}

// TestNoRepeatWhenTheKeyMayBeForgotten has a request that is lost early repeated, and one that is lost late not.
func TestNoRepeatWhenTheKeyMayBeForgotten(t *testing.T) {
	for after, want := range map[time.Duration]int{10 * time.Minute: 3, 31 * time.Minute: 1} {
		synctest.Test(t, func(t *testing.T) {
			network := &losing{after: after}
			c := &syncgate.Client{URL: "https://sync.example", HTTP: &http.Client{Transport: network}}
			_, err := c.Call(context.Background(), "/a", nil, syncgate.Wait(10*time.Hour))
			wantFailure(t, err, "network", true)
			if network.requests != want {
				t.Errorf("a request that is lost after %v was sent %d times, not %d", after, network.requests, want)
			}
		})
	}
}
