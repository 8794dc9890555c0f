package redis_test

import (
	"context"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

func config(url string) redis.Config {
	cfg := redis.Default()
	cfg.URL = url
	return cfg
}

// nodeKeys are the callback keys of all nodes.
func nodeKeys(t testing.TB) *correlator.Keys {
	t.Helper()
	keys, err := correlator.NewKeys([]string{"the callback key of all nodes of a test"})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// start makes a node and waits until it is ready. It is shut down at the end of the test.
func start(t testing.TB, cfg redis.Config) *redis.Correlator {
	t.Helper()
	c := launch(t, cfg)
	awaitReady(t, c)
	return c
}

// launch makes a node without waiting.
func launch(t testing.TB, cfg redis.Config) *redis.Correlator {
	t.Helper()
	c, err := redis.New(cfg, nodeKeys(t), redis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = c.Shutdown(ctx) // Redis may be gone by then
	})
	return c
}

func awaitReady(t testing.TB, c *redis.Correlator) {
	t.Helper()
	correlatortest.Eventually(t, "ready", func() bool { return c.Ready() == nil })
}

func soon() time.Time { return time.Now().Add(10 * time.Minute) }

func TestContract(t *testing.T) {
	standalone, cluster := redistest.Start(t), redistest.StartCluster(t)
	for name, cfg := range map[string]redis.Config{
		"standalone": config(standalone.URL()),
		"cluster":    func() redis.Config { c := config(cluster.URL()); c.Mode = redis.Cluster; return c }(),
	} {
		t.Run(name, func(t *testing.T) {
			correlatortest.Run(t, func(t *testing.T, o correlatortest.Options) correlatortest.Nodes {
				cfg := cfg
				cfg.Parked, cfg.Retention, cfg.Progress = o.Parked, o.Retention, o.Progress
				return correlatortest.Nodes{Home: start(t, cfg), Other: start(t, cfg)}
			})
		})
	}
}
