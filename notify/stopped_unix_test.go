//go:build unix

package notify_test

import (
	"syscall"
	"testing"

	"syncgate/notify"
)

// TestStoppedInTheMiddle has a process stopped in the middle of its attempts, and go on when another has delivered what it was to send.
func TestStoppedInTheMiddle(t *testing.T) {
	const all = 5
	server := durable(t)
	store := redisStore(t, server)
	victim := startChild(t, server, "faults")
	r := hangsFirst(t)
	var ids []string
	for range all {
		n := hook(r)
		put(t, store, n)
		ids = append(ids, n.ID)
	}
	r.await(t, all)
	if err := victim.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s := sender(t, redisStore(t, server), childConfig())
	for _, id := range ids {
		becomes(t, store, id, notify.Delivered)
	}
	if err := victim.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	taken := receive(t, nil) // by the process, which is all that sends now
	last := hook(taken)
	put(t, store, last)
	becomes(t, store, last.ID, notify.Delivered)
	r.came(t, all, 2)
	for _, id := range ids {
		if e, err := store.Show(t.Context(), id); err != nil || e.State != notify.Delivered {
			t.Errorf("%+v, %v", e, err)
		}
	}
}
