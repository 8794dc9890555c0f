//go:build !linux

package gateway

import (
	"sync"
	"syscall"
	"time"
)

// fdset looks at every descriptor in it at every wait: for systems without epoll, where nobody has many.
type fdset struct {
	mu  sync.Mutex
	all map[syscall.RawConn]uint64
}

func newFDSet() (*fdset, error) { return &fdset{all: make(map[syscall.RawConn]uint64)}, nil }

func (s *fdset) add(raw syscall.RawConn, name uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[raw] = name
	return nil
}

func (s *fdset) remove(raw syscall.RawConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, raw)
}

func (s *fdset) wait(d time.Duration) (names []uint64) {
	<-time.After(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	for raw, name := range s.all {
		if peerGone(raw) {
			names = append(names, name)
		}
	}
	return names
}

func (*fdset) close() {}
