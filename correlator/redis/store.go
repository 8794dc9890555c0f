package redis

import (
	"context"
	_ "embed"
	"strconv"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
)

const (
	// aliveFor is how long a node that said nothing more counts as alive.
	aliveFor = 10 * time.Second

	// wireVersion is in every key and channel. Nodes of a build that writes them in another form, under another version, neither read ours
	// nor we theirs.
	wireVersion = "2"

	metaField     = "meta"
	opsField      = "ops"
	goneField     = "gone"
	releasedField = "released"
)

var (
	//go:embed scripts/deliver.lua
	deliverScript string
	//go:embed scripts/save.lua
	saveScript string
	//go:embed scripts/clean.lua
	cleanScript string
	//go:embed scripts/claim.lua
	claimScript string
	//go:embed scripts/unbind.lua
	unbindScript string
	//go:embed scripts/release.lua
	releaseScript string
	//go:embed scripts/look.lua
	lookScript string
	//go:embed scripts/expel.lua
	expelScript string
	//go:embed scripts/mend.lua
	mendScript string
	//go:embed scripts/report.lua
	reportScript string
	//go:embed scripts/prolong.lua
	prolongScript string
)

// store is what is asked of Redis. Every method is one round trip, except where it says otherwise, takes
// at most the time-out, and may be repeated: what it did already it does not do again.
type store struct {
	client    goredis.UniversalClient
	tags      *tags
	counts    *counts
	prefix    string // with the version
	timeout   time.Duration
	retention time.Duration
	sharded   bool // Cluster: publish and subscribe by slot

	deliver, report, save, clean, claim, unbind, release, look, expel, mend, prolong *goredis.Script

	names nameScripts

	progress atomic.Int64 // most bytes of what is merged of an op; 0: any number
}

func newStore(cfg Config, t *tags) (*store, error) {
	client, err := cfg.connect()
	if err != nil {
		return nil, err
	}
	s := &store{
		client:    client,
		tags:      t,
		counts:    newCounts(),
		prefix:    cfg.Prefix + ":" + wireVersion,
		timeout:   cfg.Timeout,
		retention: cfg.Retention,
		sharded:   cfg.Mode == Cluster,
		deliver:   goredis.NewScript(deliverScript),
		report:    goredis.NewScript(reportScript),
		save:      goredis.NewScript(saveScript),
		clean:     goredis.NewScript(cleanScript),
		claim:     goredis.NewScript(claimScript),
		unbind:    goredis.NewScript(unbindScript),
		release:   goredis.NewScript(releaseScript),
		look:      goredis.NewScript(lookScript),
		expel:     goredis.NewScript(expelScript),
		mend:      goredis.NewScript(mendScript),
		prolong:   goredis.NewScript(prolongScript),
		names:     newNameScripts(),
	}
	s.progress.Store(cfg.Progress)
	s.counts.watchScripts(s)
	client.AddHook(s.counts)
	return s, nil
}

func (s *store) inbox(node correlator.NodeID) string   { return s.key(node, "inbox") }
func (s *store) alive(node correlator.NodeID) string   { return s.key(node, "alive") }
func (s *store) channel(node correlator.NodeID) string { return s.key(node, "channel") }

func (s *store) trip(id correlator.ID) string     { return s.named(id, "trip:") }
func (s *store) watchers(id correlator.ID) string { return s.named(id, "watch:") }
func (s *store) left(id correlator.ID) string     { return s.named(id, "left:") }
func (s *store) merged(id correlator.ID) string   { return s.named(id, "merged:") }
func (s *store) events(id correlator.ID) string   { return s.named(id, "events:") }

func (s *store) named(id correlator.ID, what string) string {
	return s.key(id.Home(), what) + nameOf(id)
}

func (s *store) key(node correlator.NodeID, what string) string {
	return s.prefix + ":{" + node.String() + "}:" + what
}

// unread reads a part of a node's inbox, from cursor on: by entry the frame that waits, or the size of what is stored. The next
// cursor is 0 at the end.
func (s *store) unread(ctx context.Context, node correlator.NodeID, cursor uint64) (waiting map[string]string, next uint64, err error) {
	const part = 256 // of 4 KiB each, at most
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	pairs, next, err := s.client.HScan(ctx, s.inbox(node), cursor, "", part).Result()
	if isWrongType(err) {
		return nil, 0, s.mendKeys(ctx, []string{s.inbox(node)})
	}
	if err != nil {
		return nil, 0, unavailable("read the inbox", err)
	}
	waiting = make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		waiting[pairs[i]] = pairs[i+1]
	}
	return waiting, next, nil
}

// fetch reads the values of entries, "" for one that is not there.
func (s *store) fetch(ctx context.Context, entries []entry) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	pipe := s.client.Pipeline()
	replies := make([]*goredis.StringCmd, len(entries))
	for i, e := range entries {
		replies[i] = pipe.HGet(ctx, s.trip(e.id), strconv.Itoa(e.op))
	}
	_, _ = pipe.Exec(ctx) // every command has its own error
	values := make([]string, len(entries))
	for i, reply := range replies {
		v, err := reply.Result()
		if err != nil && err != goredis.Nil && !isWrongType(err) { //nolint:errorlint // go-redis gives it as it is
			return nil, unavailable("fetch callbacks", err)
		}
		values[i] = v
	}
	return values, nil
}

// settle removes what node has settled of its trips.
func (s *store) settle(ctx context.Context, node correlator.NodeID, trips map[correlator.ID]settled) error {
	keys, trip := []string{s.inbox(node)}, s.key(node, "trip:")
	args, marks := make([]any, 1, 1+len(trips)), []any(nil)
	for id, t := range trips {
		for _, op := range t.heard {
			args = append(args, entry{id: id, op: op}.String())
		}
		if t.over {
			mark := ""
			if t.forgotten > 0 {
				mark = s.tags.mark(kindGone, id)
			}
			keys, marks = append(keys, trip+nameOf(id)), append(marks, t.forgotten, mark)
		}
	}
	args[0] = len(args) - 1
	args = append(args, marks...)
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.together(ctx, []call{{s.clean, keys, args}})[0].Err(); err != nil {
		return unavailable("clean up", err)
	}
	return nil
}

// probe says that node lives, and sends a probe over its channel.
func (s *store) probe(ctx context.Context, node correlator.NodeID, number uint64) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	pipe := s.client.Pipeline()
	lives := pipe.Set(ctx, s.alive(node), "1", aliveFor)
	publish := pipe.Publish
	if s.sharded {
		publish = pipe.SPublish
	}
	said := publish(ctx, s.channel(node), probeMark+s.tags.probe(node, number))
	_, _ = pipe.Exec(ctx) // each command has its own error
	if err := lives.Err(); err != nil {
		return unready(stepWrite, err)
	}
	if err := said.Err(); err != nil {
		return unready(stepPublish, err)
	}
	return nil
}

// farewell says that node lives no more.
func (s *store) farewell(ctx context.Context, node correlator.NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.client.Del(ctx, s.alive(node)).Err(); err != nil {
		return unavailable("say farewell", err)
	}
	return nil
}

// subscribe subscribes to a node's channel and waits for the confirmation. In a Cluster it does so in two ways: what
// comes from the channel's own slot is published there alone, and a hint, which may come from any slot, everywhere.
func (s *store) subscribe(ctx context.Context, node correlator.NodeID) (*goredis.PubSub, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	channels := s.client.Subscribe(ctx)
	ways := []func(context.Context, ...string) error{channels.Subscribe}
	if s.sharded {
		ways = []func(context.Context, ...string) error{channels.SSubscribe, channels.Subscribe} // the first says to which server
	}
	var err error
	for i := 0; i < len(ways) && err == nil; i++ {
		err = ways[i](ctx, s.channel(node))
	}
	for confirmed := 0; confirmed < len(ways) && err == nil; {
		var received any
		received, err = channels.Receive(ctx)
		if _, is := received.(*goredis.Subscription); is { // else a message too early: it will be looked for
			confirmed++
		}
	}
	if err != nil {
		_ = channels.Close()
		s.reload(ctx)
		return nil, unready(stepSubscribe, err)
	}
	return channels, nil
}

// reload makes a Cluster's client look again where its slots are: a subscription follows no redirection.
func (s *store) reload(ctx context.Context) {
	if cluster, ok := s.client.(*goredis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
}

func (s *store) publishCommand() string {
	if s.sharded {
		return "SPUBLISH"
	}
	return "PUBLISH"
}

// keep is how long a complete record is kept, in ms. Without a retention it is kept until its release, and that of an id that outlasts it until the id
// expires.
func (s *store) keep(id correlator.ID) int64 {
	if kept := s.keepComplete(id.Marked(), id.Outlasts()); kept > 0 {
		return kept
	}
	return life(id)
}

// keepComplete is how long complete records are kept, those of ids that are marked or outlast it or of others, in ms; 0: as long as their ids last.
func (s *store) keepComplete(marked, outlasts bool) int64 {
	if outlasts {
		return 0
	}
	if marked && s.retention > 0 {
		return max(s.retention, correlator.MarkedFor).Milliseconds()
	}
	return s.retention.Milliseconds()
}

// life is how long an id lasts, in ms, and at least 1: Redis takes 0 for no expiry or an error.
func life(id correlator.ID) int64 { return max(time.Until(id.Lasts()).Milliseconds(), 1) }
