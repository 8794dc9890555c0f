package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

// wellSet are the arguments of a server that nothing is to be said of.
func wellSet() []string { return []string{"--appendonly", "yes", "--maxmemory-policy", "noeviction"} }

// TestExamine: each setting that loses something is one warning that says what to do.
func TestExamine(t *testing.T) {
	cluster := redistest.StartCluster(t)
	for what, c := range map[string]examined{
		"nothing":                 {args: wellSet()},
		"snapshots are enough":    {args: []string{"--save", "60 1"}},
		"evicts":                  {args: append(wellSet(), "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"), want: []string{"allkeys-lru"}},
		"would evict":             {args: append(wellSet(), "--maxmemory-policy", "volatile-ttl"), want: []string{"while maxmemory is 0"}},
		"does not persist":        {want: []string{"appendonly yes"}},
		"small buffers":           {args: append(wellSet(), "--client-output-buffer-limit", "pubsub 1mb 0 0"), want: []string{"pubsub"}},
		"small buffers for long":  {args: append(wellSet(), "--client-output-buffer-limit", "pubsub 0 1mb 60"), want: []string{"pubsub"}},
		"all of it":               {args: []string{"--maxmemory-policy", "allkeys-lfu", "--client-output-buffer-limit", "pubsub 1mb 0 0"}, want: []string{"allkeys-lfu", "appendonly", "pubsub"}},
		"no INFO":                 {rights: append(rightsOf(), "-info"), want: []string{"cannot be looked at"}},
		"no CONFIG":               {rights: append(rightsOf(), "-config|get")},
		"no CONFIG, but evicting": {args: []string{"--maxmemory-policy", "allkeys-lru"}, rights: append(rightsOf(), "-config|get"), want: []string{"allkeys-lru"}},
		"a Cluster":               {args: wellSet(), change: func(cfg *redis.Config) { cfg.Mode, cfg.URL = redis.Cluster, cluster.URL() }, want: []string{strings.TrimPrefix(cluster.Addr(), "127.0.0.1") + ": neither"}},
		"part of a Cluster":       {change: func(cfg *redis.Config) { cfg.URL = cluster.URL() }, want: []string{"mode to cluster", "appendonly"}},
		"the least rights":        {args: wellSet(), rights: rightsOf()},
	} {
		t.Run(what, c.check)
	}
}

// examined is a server, and what is to be warned of.
type examined struct {
	args   []string // of the server
	rights []string // of the user; nil: all
	change func(*redis.Config)
	want   []string // a part of each warning
}

func (c examined) check(t *testing.T) {
	t.Helper()
	s := redistest.StartTCP(t, c.args...)
	cfg := config(s.URL())
	if c.rights != nil {
		s.Do(append([]string{"ACL", "SETUSER", "app", "on", ">" + secret}, c.rights...)...)
		cfg.URL = "redis://app:" + secret + "@" + s.Addr()
	}
	if c.change != nil {
		c.change(&cfg)
	}
	warnings, err := redis.Examine(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != len(c.want) {
		t.Errorf("warns of %q, want %d warnings", warnings, len(c.want))
	}
	for _, want := range c.want {
		if !strings.Contains(strings.Join(warnings, "\n"), want) {
			t.Errorf("warns of %q, want %q", warnings, want)
		}
	}
	quotesNothing(t, errors.New(strings.Join(warnings, "\n")), secret)
}

// TestExamineLeavesNothing: but what was released, which can be read for ten seconds.
func TestExamineLeavesNothing(t *testing.T) {
	s := redistest.StartTCP(t)
	if _, err := redis.Examine(t.Context(), config(s.URL())); err != nil {
		t.Error(err)
	}
	for key := range strings.FieldsSeq(s.Do("KEYS", "*")) {
		readable := strings.Contains(key, ":left:") || strings.Contains(key, ":merged:") || strings.Contains(key, ":events:")
		if ttl := s.Do("PTTL", strings.Trim(key, `"[]`)); !readable || len(ttl) > len(":10000") {
			t.Errorf("left behind: %q, which ends in %s", key, ttl)
		}
	}
}

// TestExamineOfAnOldServer: of one that we do not have here, by what it says.
func TestExamineOfAnOldServer(t *testing.T) {
	for version, old := range map[string]bool{"4.0.14": true, "5.0.0": false, "7.2.4": false, "nonsense": false} {
		if got := redis.WarnsOfVersion(version); got != old {
			t.Errorf("%s: warned %v", version, got)
		}
	}
}

// TestExamineWithoutRedis: the error is the one that Ready has.
func TestExamineWithoutRedis(t *testing.T) {
	s := redistest.StartTCP(t)
	s.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := redis.Examine(ctx, config(s.URL()))
	u, is := errors.AsType[*correlator.Unready](err)
	if !is || u.Part != "redis: connection" || u.Do == "" {
		t.Errorf("%v", err)
	}
}
