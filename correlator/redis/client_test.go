package redis_test

import (
	"context"
	"net"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

func newClient(t *testing.T, cfg redis.Config, exchange time.Duration) goredis.UniversalClient {
	t.Helper()
	c, err := cfg.NewClient(exchange)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestNewClient: a client for other data reaches each kind of Redis, as the correlator's user.
func TestNewClient(t *testing.T) {
	single, failover, masters := redistest.Start(t), redistest.StartFailover(t, "main"), redistest.StartMasters(t, 3)
	sentinels, cluster := config(failover.URL()), config("redis://"+masters[0].Addr())
	sentinels.Mode = redis.Sentinel
	cluster.Mode = redis.Cluster
	for name, cfg := range map[string]redis.Config{
		"unix": config(single.URL()), "user": withUser(t, "+@all", "~*"), "sentinel": sentinels, "cluster": cluster,
	} {
		c := newClient(t, cfg, time.Second)
		if err := c.Set(t.Context(), "syncgate:x", "1", 0).Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClientEndsWithItsContext: a server that says nothing costs what the context allows, and exchange without one. Both are independent of the
// correlator's timeout, which only bounds connecting.
func TestClientEndsWithItsContext(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	cfg := config("redis://" + mute.Addr().String())
	cfg.Timeout = 100 * time.Millisecond
	took := func(c goredis.UniversalClient, atMost time.Duration) time.Duration {
		ctx, cancel := context.WithTimeout(t.Context(), atMost)
		defer cancel()
		began := time.Now()
		if err := c.Do(ctx, "get", "x").Err(); err == nil {
			t.Error("nobody answered, and there is no error")
		}
		return time.Since(began)
	}
	patient := newClient(t, cfg, time.Minute)
	if d := took(patient, 400*time.Millisecond); d < 300*time.Millisecond || d > 5*time.Second {
		t.Errorf("with a context of 400 ms it took %v", d)
	}
	quick := newClient(t, cfg, 300*time.Millisecond)
	if d := took(quick, time.Minute); d < 200*time.Millisecond || d > 5*time.Second {
		t.Errorf("with an exchange of 300 ms, twice, it took %v", d)
	}
}

// TestClientNeedsAValidConfig: its error shows no password.
func TestClientNeedsAValidConfig(t *testing.T) {
	_, err := config("redis://u:" + secret + "@:x").NewClient(time.Second)
	if err == nil {
		t.Fatal("a client of nothing")
	}
	quotesNothing(t, err, secret)
	if _, err := redis.Default().NewClient(0); err == nil {
		t.Error("a client whose commands never end")
	}
}
