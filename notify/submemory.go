package notify

import (
	"context"
	"slices"
	"sync"
	"time"
)

// MemorySubscriptions are Subscriptions for the life of the process. They have no topics.
type MemorySubscriptions struct {
	most int

	mu     sync.Mutex
	all    map[string]*Subscription
	active map[string]int                         // how many an owner has that are Active
	groups map[[2]string]map[string]*Subscription // the Active ones that are Continuous, by owner and group
	ended  []*Subscription                        // in the order of their ends
	lapses queue[*lapse]                          // of the Active ones that do not last for ever
	lapse  map[string]*lapse                      // each of them, by the id of its subscription
}

// lapse is a subscription that is forgotten at its time.
type lapse struct {
	place

	of *Subscription
}

// NewMemorySubscriptions makes Subscriptions of at most so many that are Active, and of at most so many that have ended: the oldest of these are forgotten.
func NewMemorySubscriptions(most int) *MemorySubscriptions {
	return &MemorySubscriptions{
		most: most, all: make(map[string]*Subscription), active: make(map[string]int), groups: make(map[[2]string]map[string]*Subscription),
		lapse: make(map[string]*lapse),
	}
}

// clone gives a value that shares nothing.
func (s Subscription) clone() Subscription {
	s.Secrets = slices.Clone(s.Secrets)
	if s.Last != nil {
		last := *s.Last
		s.Last = &last
	}
	return s
}

// forget forgets what ended long ago, and the oldest beyond the bound, and what is Active for too long. mu is held.
func (m *MemorySubscriptions) forget(now time.Time) {
	for len(m.lapses) > 0 && !m.lapses[0].at.After(now) {
		s := m.lapses[0].of
		m.deactivate(s)
		delete(m.all, s.ID)
	}
	for len(m.ended) > 0 && (len(m.ended) > m.most || now.Sub(m.ended[0].Ended) > KeepSubscription) {
		delete(m.all, m.ended[0].ID)
		m.ended[0] = nil
		m.ended = m.ended[1:]
	}
}

// Add is Subscriptions'.
func (m *MemorySubscriptions) Add(_ context.Context, s Subscription, most int) error {
	if err := s.check(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.forget(now)
	switch known := m.all[s.ID]; {
	case known != nil && known.Owner == s.Owner:
		return nil
	case known != nil:
		return errOtherOwner
	case s.URL == "":
		return ErrNoTopics
	case m.active[s.Owner] >= most:
		return ErrQuota
	case len(m.all)-len(m.ended) >= m.most:
		return ErrFull
	}
	s = s.clone()
	until := s.Until
	s.State, s.Topic, s.Ended, s.Until, s.Last = Active, "", time.Time{}, time.Time{}, nil
	if s.Created.IsZero() {
		s.Created = now
	}
	m.all[s.ID] = &s
	m.active[s.Owner]++
	if !until.IsZero() {
		m.lapse[s.ID] = &lapse{place{at: until, index: -1}, &s}
		put(&m.lapses, m.lapse[s.ID])
	}
	if s.Mode == Continuous {
		at := [2]string{s.Owner, s.Group}
		if m.groups[at] == nil {
			m.groups[at] = make(map[string]*Subscription)
		}
		m.groups[at][s.ID] = &s
	}
	return nil
}

// Get is Subscriptions'.
func (m *MemorySubscriptions) Get(_ context.Context, id string) (Subscription, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(time.Now())
	s := m.all[id]
	if s == nil {
		return Subscription{}, ErrUnknown
	}
	return s.clone(), nil
}

// End is Subscriptions'.
func (m *MemorySubscriptions) End(_ context.Context, id string, state SubscriptionState) error {
	if !state.ends() {
		return errEndState
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.forget(now)
	s := m.all[id]
	switch {
	case s == nil:
		return ErrUnknown
	case s.State != Active:
		return ErrInactive
	}
	s.State, s.Ended = state, now
	m.deactivate(s)
	m.ended = append(m.ended, s)
	m.forget(now)
	return nil
}

// deactivate takes a subscription out of what is Active. mu is held.
func (m *MemorySubscriptions) deactivate(s *Subscription) {
	if m.active[s.Owner]--; m.active[s.Owner] == 0 {
		delete(m.active, s.Owner)
	}
	at := [2]string{s.Owner, s.Group}
	delete(m.groups[at], s.ID)
	if len(m.groups[at]) == 0 {
		delete(m.groups, at)
	}
	if l := m.lapse[s.ID]; l != nil {
		take(&m.lapses, l)
		delete(m.lapse, s.ID)
	}
}

// Match is Subscriptions'.
func (m *MemorySubscriptions) Match(_ context.Context, owner, group string) (all []Subscription, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(time.Now())
	for _, s := range m.groups[[2]string{owner, group}] {
		all = append(all, s.clone())
	}
	return all, nil
}

// Note is Subscriptions'.
func (m *MemorySubscriptions) Note(_ context.Context, id string, last Attempt) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.all[id]; s != nil {
		s.Last = &last
	}
	return nil
}

// Append is Subscriptions'. There is no topic to append to.
func (m *MemorySubscriptions) Append(_ context.Context, id, notification string, body []byte) error {
	if err := checkAppended(notification, body); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch s := m.all[id]; {
	case s == nil:
		return ErrUnknown
	case s.State != Active:
		return ErrInactive
	}
	return ErrNoTopics
}
