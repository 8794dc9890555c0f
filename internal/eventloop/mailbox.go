package eventloop

import "sync"

// mailbox is a poller without a system's: all events are posted to the set.
type mailbox struct {
	bell chan struct{} // one element
	quit chan struct{}
	end  func()
}

func newMailbox() *mailbox {
	m := &mailbox{bell: make(chan struct{}, 1), quit: make(chan struct{})}
	m.end = sync.OnceFunc(func() { close(m.quit) })
	return m
}

func (m *mailbox) wait(block bool) (n int, ok bool) {
	if !block {
		return 0, true
	}
	select {
	case <-m.bell:
		return 0, true
	case <-m.quit:
		return 0, false
	}
}

func (m *mailbox) event(int) (uint64, Events) { return 0, 0 }

func (m *mailbox) wake() {
	select {
	case m.bell <- struct{}{}:
	default:
	}
}

func (m *mailbox) close() { m.end() }
