package main

import (
	"errors"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/dialect/rest"
)

// TestBegunPushingIsUndone: what a reload begins and takes back leaves nothing, and a later reload can begin it again.
func TestBegunPushingIsUndone(t *testing.T) {
	c := demoConfig("127.0.0.1:0", "", "http://127.0.0.1:1")
	n, err := start(c, zerolog.Nop(), nil, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	defer n.drain()
	id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour)).Mark()
	n.pushing.Look(id)
	if err := n.pushing.Owe(t.Context(), id, 0, false); !errors.Is(err, correlator.ErrUnavailable) || n.pushing.Done(t.Context(), id) != nil {
		t.Errorf("an outbox that is not there: %v", err)
	}
	next := demoConfig("127.0.0.1:0", "", "http://127.0.0.1:1")
	addDemoRoutes(next, "http://127.0.0.1:1")
	for range 2 {
		undo, err := n.beginPushing(next)
		if err != nil {
			t.Fatal(err)
		}
		if n.pushing.Load() == nil || n.push.Sender == nil || n.pushing.Owe(t.Context(), id, time.Hour, false) != nil {
			t.Error("it has not begun")
		}
		undo()
		if n.pushing.Load() != nil || n.push.Sender != nil {
			t.Error("it is not undone")
		}
		if _, err := rest.New(next.Rest(), rest.Outside{Keys: n.keys.Keys, Verifier: n.dialect, Push: n.push}); err == nil {
			t.Error("routes that push are taken where nothing is sent")
		}
	}
}
