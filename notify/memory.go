package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"math"
	"slices"
	"sync"
	"time"
)

// Memory is a Store for the life of the process.
type Memory struct {
	most  int
	bytes int64

	mu        sync.Mutex
	all       map[string]*item
	hosts     map[string]*line
	lines     queue[*line]
	open      int
	held      int64   // bytes of all bodies
	openHeld  int64   // bytes of those of open ones
	ended     []*item // not delivered, in the order of their ends
	delivered []*item // delivered, in that order
	sequence  int64
}

// NewMemory makes a Store of at most so many open notifications, and of so many bytes of bodies. What has ended is forgotten, oldest first, where it
// takes room from what is open.
func NewMemory(most int, size int64) *Memory {
	return &Memory{most: most, bytes: size, all: make(map[string]*item), hosts: make(map[string]*line)}
}

// Put is Store's.
func (m *Memory) Put(_ context.Context, r Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.forget(now)
	if m.all[r.ID] != nil {
		return nil
	}
	if m.open >= m.most || m.openHeld+int64(len(r.Body)) > m.bytes { // nothing is forgotten for it in vain
		return ErrFull
	}
	for m.held+int64(len(r.Body)) > m.bytes && len(m.ended) > 0 {
		m.remove(m.ended[0])
	}
	r.Body, r.Sealed = bytes.Clone(r.Body), bytes.Clone(r.Sealed)
	it := &item{place: place{index: -1}, rec: r, size: len(r.Body), state: Open, created: now, since: now}
	m.all[r.ID] = it
	m.held += int64(len(r.Body))
	m.openHeld += int64(len(r.Body))
	m.open++
	m.plan(it, now)
	return nil
}

// plan has an open item wait until a time.
func (m *Memory) plan(it *item, at time.Time) {
	l := m.hosts[it.rec.Host]
	if l == nil {
		l = &line{place: place{index: -1}, host: it.rec.Host}
		m.hosts[l.host] = l
	}
	m.sequence++
	it.at, it.order = at, m.sequence
	put(&l.items, it)
	m.lead(l)
}

// lead gives a host the place of its first item, or none.
func (m *Memory) lead(l *line) {
	if len(l.items) == 0 {
		take(&m.lines, l)
		delete(m.hosts, l.host)
		return
	}
	l.at, l.order = l.items[0].at, l.items[0].order
	put(&m.lines, l)
}

// close takes an item out of what is open.
func (m *Memory) close(it *item) {
	if it.state != Open {
		return
	}
	m.open--
	m.openHeld -= int64(len(it.rec.Body))
	l := m.hosts[it.rec.Host]
	take(&l.items, it)
	m.lead(l)
}

// remove forgets an item.
func (m *Memory) remove(it *item) {
	m.close(it)
	m.held -= int64(len(it.rec.Body))
	delete(m.all, it.rec.ID)
	m.ended, m.delivered = without(m.ended, it), without(m.delivered, it)
}

func without(items []*item, it *item) []*item {
	if i := slices.Index(items, it); i >= 0 {
		return slices.Delete(items, i, i+1)
	}
	return items
}

// forget forgets what has been kept long enough, and of each kind the oldest beyond as many as may be open.
func (m *Memory) forget(now time.Time) {
	for len(m.ended) > 0 && (now.Sub(m.ended[0].endedAt) > KeepEnded || len(m.ended) > m.most) {
		m.remove(m.ended[0])
	}
	for len(m.delivered) > 0 && (now.Sub(m.delivered[0].endedAt) > KeepDelivered || len(m.delivered) > m.most) {
		m.remove(m.delivered[0])
	}
}

// Claim is Store's.
func (m *Memory) Claim(_ context.Context, room Room) (jobs []Job, next time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	next = math.MaxInt64
	var due []*line
	for full := false; !full && len(m.lines) > 0 && !m.lines[0].at.After(now); {
		l := m.lines[0]
		take(&m.lines, l)
		due = append(due, l)
		for free := room.free(l.host); free > 0 && !l.items[0].at.After(now); {
			if full = !room.takes(jobs, len(l.items[0].rec.Body)); full {
				break
			}
			if j, ok := m.claim(l.items[0], now, room); ok {
				jobs = append(jobs, j)
				free--
			}
		}
	}
	if len(m.lines) > 0 {
		next = m.lines[0].at.Sub(now)
	}
	for _, l := range due {
		if d := l.items[0].at.Sub(now); d > 0 {
			next = min(next, d)
		}
		m.lead(l)
	}
	return jobs, next, nil
}

// claim claims an item that is due. Where somebody else has, it waits for the grace first.
func (m *Memory) claim(it *item, now time.Time, room Room) (Job, bool) {
	at, claimed := now.Add(room.Lease), true
	if it.token != "" && !it.seen {
		at, claimed = now.Add(room.Grace), false
		it.seen = true
	}
	m.sequence++
	it.at, it.order = at, m.sequence
	put(&m.hosts[it.rec.Host].items, it)
	if !claimed {
		return Job{}, false
	}
	it.token, it.seen = rand.Text(), false
	it.attempts++
	return Job{Record: it.rec, Token: it.token, Attempt: it.attempts, Step: it.step, Age: now.Sub(it.since), Created: it.created}, true
}

// Finish is Store's.
func (m *Memory) Finish(_ context.Context, v Verdict) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	it := m.all[v.ID]
	if it == nil || it.state == Delivered || v.State != Delivered && (it.state != Open || it.token != v.Token) {
		return nil
	}
	now := time.Now()
	it.last, it.token, it.seen = &v.Last, "", false
	if v.Unsent {
		it.attempts--
	}
	if v.State == Open {
		it.step = v.Step
		m.plan(it, now.Add(v.After))
		return nil
	}
	m.close(it)
	m.ended = without(m.ended, it)
	it.state, it.endedAt = v.State, now
	if v.State != Delivered {
		m.ended = append(m.ended, it)
		m.forget(now)
		return nil
	}
	m.held -= int64(len(it.rec.Body))
	it.rec.Body, it.rec.Sealed = nil, nil
	m.delivered = append(m.delivered, it)
	m.forget(now)
	return nil
}

func (it *item) entry() Entry {
	e := Entry{
		ID: it.rec.ID, Subscription: it.rec.Subscription, Trip: it.rec.Trip, URL: shown(it.rec.URL), State: it.state, Sending: it.token != "", Attempts: it.attempts,
		Created: it.created, Ended: it.endedAt, Size: it.size, Last: it.last,
	}
	if it.state == Open && it.token == "" {
		e.Due = it.at
	}
	return e
}

// List is Store's.
func (m *Memory) List(_ context.Context, f Filter) (entries []Entry, after string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(time.Now())
	for _, it := range m.all {
		if it.state == cmp.Or(f.State, Open) {
			entries = append(entries, it.entry())
		}
	}
	entries, after = f.page(entries)
	return entries, after, nil
}

// Show is Store's.
func (m *Memory) Show(_ context.Context, id string) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(time.Now())
	it := m.all[id]
	if it == nil {
		return Entry{}, ErrUnknown
	}
	return it.entry(), nil
}

// Retry is Store's.
func (m *Memory) Retry(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	it := m.all[id]
	switch {
	case it == nil:
		return ErrUnknown
	case it.state == Delivered:
		return ErrDelivered
	case it.token != "":
		return nil
	}
	now := time.Now()
	if it.state != Open {
		m.ended = without(m.ended, it)
		m.open++
		m.openHeld += int64(len(it.rec.Body))
		it.state, it.step, it.since, it.endedAt = Open, 0, now, time.Time{}
	}
	m.plan(it, now)
	return nil
}

// Drop is Store's.
func (m *Memory) Drop(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	it := m.all[id]
	if it == nil {
		return ErrUnknown
	}
	m.remove(it)
	return nil
}

// Open is Store's.
func (m *Memory) Open(_ context.Context, ids []string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(ids, func(id string) bool {
		it := m.all[id]
		return it != nil && it.state == Open
	}), nil
}

// Stats is Store's.
func (m *Memory) Stats(context.Context) (s Stats, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.forget(now)
	s.Open = m.open
	for _, it := range m.all {
		if it.state == Open {
			s.Oldest = max(s.Oldest, now.Sub(it.created))
		}
	}
	for _, it := range m.ended {
		s.add(it.state, 1)
	}
	return s, nil
}
