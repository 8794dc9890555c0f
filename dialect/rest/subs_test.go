package rest_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"syncgate/notify"
)

// subs keeps subscriptions in memory, with topics if topics is set.
type subs struct {
	mu     sync.Mutex
	all    map[string]*notify.Subscription // guarded by mu, as are the next
	topics map[string][]string             // ids and bodies
	fails  error                           // of every call
	puts   int
}

func newSubs() *subs {
	return &subs{all: make(map[string]*notify.Subscription), topics: make(map[string][]string)}
}

// active counts those of an owner.
func (s *subs) active(owner string) (n int) {
	for _, one := range s.all {
		if one.Owner == owner && one.State == notify.Active {
			n++
		}
	}
	return n
}

func (s *subs) Add(_ context.Context, one notify.Subscription, most int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		return s.fails
	}
	if known := s.all[one.ID]; known != nil && known.Owner == one.Owner {
		return nil
	}
	switch {
	case s.active(one.Owner) >= most:
		return notify.ErrQuota
	case one.URL == "" && s.topics == nil:
		return notify.ErrNoTopics
	case one.URL == "":
		one.Topic = "topic:" + one.ID
	}
	s.puts++
	one.State = notify.Active
	s.all[one.ID] = &one
	return nil
}

func (s *subs) Get(_ context.Context, id string) (notify.Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.fails != nil:
		return notify.Subscription{}, s.fails
	case s.all[id] == nil:
		return notify.Subscription{}, notify.ErrUnknown
	}
	return *s.all[id], nil
}

func (s *subs) End(_ context.Context, id string, state notify.SubscriptionState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch one := s.all[id]; {
	case s.fails != nil:
		return s.fails
	case one == nil:
		return notify.ErrUnknown
	case one.State != notify.Active:
		return notify.ErrInactive
	default:
		one.State, one.Ended = state, time.Now()
	}
	return nil
}

func (s *subs) Match(_ context.Context, owner, group string) (found []notify.Subscription, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		if one.Owner == owner && one.Group == group && one.Mode == notify.Continuous && one.State == notify.Active {
			found = append(found, *one)
		}
	}
	return found, s.fails
}

func (s *subs) Note(_ context.Context, id string, last notify.Attempt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.all[id]; one != nil {
		one.Last = &last
	}
	return s.fails
}

func (s *subs) Append(_ context.Context, id, notification string, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch one := s.all[id]; {
	case s.fails != nil:
		return s.fails
	case one == nil:
		return notify.ErrUnknown
	case one.State != notify.Active:
		return notify.ErrInactive
	}
	if !slices.Contains(s.topics[id], notification) {
		s.topics[id] = append(s.topics[id], notification, string(body))
	}
	return nil
}

// fail has every call fail from now on; nil: none.
func (s *subs) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = err
}

// get gives one that there is.
func (s *subs) get(t testing.TB, id string) notify.Subscription {
	t.Helper()
	one, err := s.Get(context.Background(), id)
	if err != nil {
		t.Fatalf("subscription %s: %v", id, err)
	}
	return one
}
