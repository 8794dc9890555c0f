package enginesim

import (
	"container/heap"
	"sync"
	"time"
)

// schedule holds callbacks that are not due yet.
type schedule struct {
	earlier chan struct{} // capacity 1: something is due before all that was

	mu   sync.Mutex
	heap dueHeap // guarded by mu
}

type due struct {
	at   time.Time
	call call
}

func (s *schedule) add(at time.Time, c call) {
	s.mu.Lock()
	heap.Push(&s.heap, due{at, c})
	first := s.heap[0].at.Equal(at)
	s.mu.Unlock()
	if first {
		select {
		case s.earlier <- struct{}{}:
		default:
		}
	}
}

// run moves what is due into queue, which always has room, until done.
func (s *schedule) run(queue chan<- call, done <-chan struct{}) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		t.Reset(s.release(queue))
		select {
		case <-t.C:
		case <-s.earlier:
		case <-done:
			return
		}
	}
}

// release queues what is due and says how long to wait for the next.
func (s *schedule) release(queue chan<- call) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for len(s.heap) > 0 {
		if wait := s.heap[0].at.Sub(now); wait > 0 {
			return wait
		}
		queue <- heap.Pop(&s.heap).(due).call // the heap holds nothing else
	}
	return time.Hour
}

// dueHeap is a heap.Interface, the earliest first.
type dueHeap []due

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push appends a due.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(due)) } // only add pushes

// Pop removes the last one.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = due{}
	*h = (*h)[:last]
	return x
}
