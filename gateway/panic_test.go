package gateway_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
)

// brokenStore is a correlator that panics when it is to keep something.
type brokenStore struct {
	*correlator.Memory
	broken atomic.Bool
}

func (s *brokenStore) Save(ctx context.Context, id correlator.ID, rec correlator.Record) error {
	if s.broken.Load() {
		panic("the store is broken")
	}
	return s.Memory.Save(ctx, id, rec)
}

// A panic while a client is answered costs that client its connection, and nobody else anything.
func TestPanicWhileAnswering(t *testing.T) {
	e, store := newEngine(t), new(brokenStore)
	n := startOver(t, e.URL, func(m *correlator.Memory) correlator.Correlator {
		store.Memory = m
		return store
	})
	store.broken.Store(true)
	c := n.dial()
	_, _ = io.WriteString(c, rawCreate(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.1`, 1)))
	e.next(t).accept()
	wantClosed(t, c, 5*time.Second)
	waitLog(t, n, "answering a client panicked")
	waitFor(t, func() bool { return n.memo.Len() == 0 }) // the trip leaves the table behind its line in the log
	store.broken.Store(false)
	reply := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	want(t, got(t, reply), 200, accepted)
}

// A profile that an operator takes does not hold up the end of a gateway for as long as it takes.
func TestCloseDuringAProfile(t *testing.T) {
	n := start(t, newEngine(t).URL)
	c, err := net.Dial("tcp", n.AdminAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /debug/pprof/profile?seconds=9 HTTP/1.1\r\nHost: x\r\n\r\n")
	<-time.After(500 * time.Millisecond)
	began := time.Now()
	_ = n.memo.Drain(t.Context())
	if err := n.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("closing took %v", took)
	}
	_, _ = bufio.NewReader(c).ReadByte() // its goroutine has ended
}
