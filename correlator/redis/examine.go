package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
)

const (
	// oldest is the first version of Redis whose scripts may write after they have read something unsorted; oldestSharded the first with channels
	// that belong to a slot.
	oldest        = 5
	oldestSharded = 7

	// pubsubHard and pubsubSoft are how much of a subscriber's messages a server should keep for it at least, in bytes: what comes to a node
	// within some hundred milliseconds when it is busy. One message has 300 KiB at most.
	pubsubHard = 8 << 20
	pubsubSoft = 2 << 20
)

// Examine does once with Redis all that a trip needs, and looks at settings that lose results. It gives a warning for each, which says what to do, and an
// Unready when Redis cannot be used. What the server does not let us see is no warning. It leaves nothing behind.
func Examine(ctx context.Context, cfg Config) ([]string, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("correlator/redis: %w", err)
	}
	keys, err := correlator.NewKeys([]string{correlator.RandomKey()}) // for a node that nobody else hears of
	if err != nil {
		return nil, fmt.Errorf("correlator/redis: make a key: %w", err)
	}
	s, err := newStore(cfg, &tags{keys: keys})
	if err != nil {
		return nil, fmt.Errorf("correlator/redis: %w", err)
	}
	defer func() { _ = s.client.Close() }() // nothing is under way
	if err := s.rehearse(ctx, correlator.NewNodeID()); err != nil {
		return nil, err
	}
	if !s.sharded {
		return s.settings(ctx, s.client, ""), nil
	}
	var mu sync.Mutex
	var all []string
	cluster, _ := s.client.(*goredis.ClusterClient)
	err = cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error {
		warnings := s.settings(ctx, master, master.Options().Addr+": ")
		mu.Lock()
		defer mu.Unlock()
		all = append(all, warnings...)
		return nil
	})
	slices.Sort(all)
	if err != nil {
		return all, unready(stepSubscribe, err)
	}
	return all, nil
}

// rehearse does what a node does, once.
func (s *store) rehearse(ctx context.Context, node correlator.NodeID) error {
	channel, err := s.subscribe(ctx, node)
	if err != nil {
		return err
	}
	defer func() { _ = channel.Close() }() // nothing more is read
	if err := s.probe(ctx, node, 1); err != nil {
		return err
	}
	if err := s.trial(ctx, node); err != nil {
		return unready(stepTrial, err)
	}
	if err := s.farewell(ctx, node); err != nil {
		return unready(stepTrial, err)
	}
	return nil
}

// settings looks at one server. where is what a warning begins with.
func (s *store) settings(ctx context.Context, server goredis.Cmdable, where string) []string {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	v := &view{where: where, sharded: s.sharded}
	info, err := server.Info(ctx).Result()
	if err != nil {
		v.warn("the settings of Redis cannot be looked at (INFO: %v): see that maxmemory-policy is noeviction and that it persists its data", worded(err))
		return v.warnings
	}
	v.info = parseInfo(info)
	v.kind()
	v.eviction()
	config := func(name string) (string, bool) {
		value, err := server.ConfigGet(ctx, name).Result()
		text, is := value[name]
		return text, err == nil && is
	}
	if save, known := config("save"); known && save == "" && v.info["aof_enabled"] == "0" {
		v.warn("neither appendonly nor save is on: a restart of Redis loses kept results and what Idempotency-Keys are bound to. Set appendonly yes")
	}
	if limits, known := config("client-output-buffer-limit"); known {
		if hard, soft, ok := pubsubLimits(limits); ok && (hard > 0 && hard < pubsubHard || soft > 0 && soft < pubsubSoft) {
			v.warn("client-output-buffer-limit pubsub is %d %d: a busy node's subscription is cut, and callbacks come up to a second later. "+
				"Set it to 32mb 8mb 60 or more", hard, soft)
		}
	}
	return v.warnings
}

// view is what is seen of one server.
type view struct {
	where    string
	sharded  bool
	info     map[string]string
	warnings []string
}

func (v *view) warn(format string, args ...any) {
	v.warnings = append(v.warnings, v.where+fmt.Sprintf(format, args...))
}

// kind warns of a server that is none for us.
func (v *view) kind() {
	least := oldest
	if v.sharded {
		least = oldestSharded
	}
	version, _, _ := strings.Cut(v.info["redis_version"], ".")
	if major, err := strconv.Atoi(version); err == nil && major < least {
		v.warn("the server is older than Redis %d, which the scripts need: update it", least)
	}
	if v.info["role"] == "slave" {
		v.warn("the server is a replica: %s", doMaster)
	}
	if v.info["cluster_enabled"] == "1" && !v.sharded {
		v.warn("the server is part of a Cluster: set correlator.redis.mode to cluster")
	}
}

// eviction warns of a server that may drop keys before their time.
func (v *view) eviction() {
	policy := v.info["maxmemory_policy"]
	if policy == "" || policy == "noeviction" {
		return
	}
	when := "results can be lost, and an Idempotency-Key can make a second task"
	if v.info["maxmemory"] == "0" {
		when = "nothing is evicted while maxmemory is 0, and results can be lost as soon as it is set"
	}
	v.warn("maxmemory-policy is %s: %s. Set it to noeviction", evicting(policy), when)
}

// evicting gives a policy as Redis names it; what is none is not repeated.
func evicting(policy string) string {
	if slices.Contains([]string{
		"allkeys-lru", "allkeys-lfu", "allkeys-random", "allkeys-lrm", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "volatile-lrm",
	}, policy) {
		return policy
	}
	return "not noeviction"
}

// parseInfo reads what INFO says.
func parseInfo(text string) map[string]string {
	has := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			has[name] = value
		}
	}
	return has
}

// pubsubLimits finds the limits of subscribers among those of all kinds of clients.
func pubsubLimits(text string) (hard, soft int64, ok bool) {
	words := strings.Fields(text)
	at := slices.Index(words, "pubsub")
	if at < 0 || at+2 >= len(words) {
		return 0, 0, false
	}
	hard, err1 := strconv.ParseInt(words[at+1], 10, 64)
	soft, err2 := strconv.ParseInt(words[at+2], 10, 64)
	return hard, soft, errors.Join(err1, err2) == nil
}
