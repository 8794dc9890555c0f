package notify

import (
	"container/heap"
	"time"
)

// place is where something stands in a queue.
type place struct {
	at    time.Time
	order int64
	index int // -1: in none
}

func (p *place) where() *place { return p }

// item is a notification.
type item struct {
	place // its next attempt, or the end of its lease

	rec            Record
	size           int // of the body, which a delivered one has no more
	state          State
	token          string // of the claim, empty without one
	seen           bool   // somebody saw that the lease has ended
	attempts, step int
	created, since time.Time // since: the beginning of the window
	endedAt        time.Time
	last           *Attempt
}

// line is the open notifications of a host; its place is that of the first one.
type line struct {
	place

	host  string
	items queue[*item]
}

// queue is a heap by time.
type queue[T interface{ where() *place }] []T

func (q queue[T]) Len() int { return len(q) }
func (q queue[T]) Less(i, j int) bool {
	a, b := q[i].where(), q[j].where()
	if c := a.at.Compare(b.at); c != 0 {
		return c < 0
	}
	return a.order < b.order
}

func (q queue[T]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].where().index, q[j].where().index = i, j
}

// Push is heap.Interface's.
func (q *queue[T]) Push(x any) {
	t := x.(T) // heap.Push gives what this file gives it
	t.where().index = len(*q)
	*q = append(*q, t)
}

// Pop is heap.Interface's.
func (q *queue[T]) Pop() any {
	old := *q
	t := old[len(old)-1]
	var none T
	old[len(old)-1] = none
	*q = old[:len(old)-1]
	t.where().index = -1
	return t
}

// put puts t where its time is, whether it was in q or not.
func put[T interface{ where() *place }](q *queue[T], t T) {
	if i := t.where().index; i >= 0 {
		heap.Fix(q, i)
		return
	}
	heap.Push(q, t)
}

// take removes t from q, if it is there.
func take[T interface{ where() *place }](q *queue[T], t T) {
	if i := t.where().index; i >= 0 {
		heap.Remove(q, i)
	}
}
