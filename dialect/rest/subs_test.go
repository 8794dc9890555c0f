package rest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"syncgate/internal/redistest"
	"syncgate/notify"
	"syncgate/signer"
)

// subs are real Subscriptions, which can be out of reach.
type subs struct {
	notify.Subscriptions

	mu    sync.Mutex
	fails error // of every call; guarded by mu, as is the next
	adds  int
	until time.Time // of the last one
}

// away gives the error of every call.
func (s *subs) away() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fails
}

// fail has every call fail from now on; nil: none.
func (s *subs) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = err
}

func (s *subs) Add(ctx context.Context, one notify.Subscription, most int) error {
	if err := s.away(); err != nil {
		return err
	}
	s.mu.Lock()
	s.adds++
	s.until = one.Until
	s.mu.Unlock()
	return s.Subscriptions.Add(ctx, one, most)
}

func (s *subs) Get(ctx context.Context, id string) (notify.Subscription, error) {
	if err := s.away(); err != nil {
		return notify.Subscription{}, err
	}
	return s.Subscriptions.Get(ctx, id)
}

func (s *subs) Match(ctx context.Context, owner, group string) ([]notify.Subscription, error) {
	if err := s.away(); err != nil {
		return nil, err
	}
	return s.Subscriptions.Match(ctx, owner, group)
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

// topics are what a real Redis has of subscriptions.
type topics struct{ client *goredis.Client }

// withTopics has subscriptions kept in a real Redis from now on.
func (s *subs) withTopics(t testing.TB, sealer *signer.Sealer) topics {
	t.Helper()
	o, err := goredis.ParseURL(redistest.Start(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	o.ContextTimeoutEnabled = true
	client := goredis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	s.Subscriptions = notify.NewRedisSubscriptions(client, "test", sealer, zerolog.Nop())
	return topics{client}
}

// read gives the bodies of a topic.
func (r topics) read(t testing.TB, topic string) (bodies []string) {
	t.Helper()
	all, err := r.client.XRange(context.Background(), topic, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		body, _ := m.Values["body"].(string)
		bodies = append(bodies, body)
	}
	return bodies
}
