package notify

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// shardsOfCluster is how many slots notifications take in a Cluster. It is part of the keys: another number would find none of them.
const shardsOfCluster = 8

var (
	//go:embed scripts/common.lua
	commonText string
	//go:embed scripts/put.lua
	putText string
	//go:embed scripts/claim.lua
	claimText string
	//go:embed scripts/finish.lua
	finishText string
	//go:embed scripts/retry.lua
	retryText string
	//go:embed scripts/drop.lua
	dropText string
	//go:embed scripts/stats.lua
	statsText string
)

func script(text string) *goredis.Script { return goredis.NewScript(commonText + text) }

// Redis is a Store that all processes share which have the same Redis (or Valkey, Sentinel, Cluster) and prefix.
//
// Keys begin with the prefix and :notify:1:{notify-0}: with the number of the shard, so that all of one shard is in one slot of a Cluster. A notification is in
// the shard of its host. A Cluster has eight shards, others one. Times are those of Redis. scripts/common.lua says what the keys hold.
type Redis struct {
	client goredis.UniversalClient
	most   int
	shards []string // what the keys of each begin with
	turn   atomic.Uint32

	put, claim, finish, retry, drop, stats *goredis.Script
}

// NewRedis makes a Store of at most so many open notifications, 0: any number. prefix begins every key. It sends nothing yet, and does not
// close the client.
func NewRedis(client goredis.UniversalClient, prefix string, most int) *Redis {
	r := &Redis{
		client: client, put: script(putText), claim: script(claimText), finish: script(finishText), retry: script(retryText),
		drop: script(dropText), stats: script(statsText),
	}
	n := 1
	if _, ok := client.(*goredis.ClusterClient); ok {
		n = shardsOfCluster
	}
	for i := range n {
		r.shards = append(r.shards, fmt.Sprintf("%s:notify:1:{notify-%d}:", prefix, i))
	}
	if most > 0 {
		r.most = (most + n - 1) / n
	}
	return r
}

// shard gives what the keys of a host begin with.
func (r *Redis) shard(host string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(host))
	return r.shards[int(h.Sum32()%uint32(len(r.shards)))] //nolint:gosec // there are eight at most
}

// unavailable words an error of Redis or of the way to it. Redis quotes arguments in some of its errors: of those only the first word is kept.
func unavailable(what string, err error) error {
	if answer, ok := errors.AsType[goredis.Error](err); ok {
		code, _, _ := strings.Cut(answer.Error(), " ")
		return fmt.Errorf("%w: %s: redis answers %.32q", ErrUnavailable, what, code)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, what, err)
}

// Put is Store's.
func (r *Redis) Put(ctx context.Context, n Record) error {
	shard := r.shard(n.Host)
	done, err := r.run(ctx, r.put, shard, "n:"+n.ID, n.ID, n.Host, n.Subscription, n.URL, n.Body, n.Sealed, r.most).Int()
	switch {
	case err != nil:
		return unavailable("put", err)
	case done < 0:
		return ErrFull
	}
	return nil
}

// keys are those that a script of a shard names. The second one never exists: so a Cluster runs no script in a slot that is on its way
// to another server, where a script would find a part of the keys and take the others for gone. It answers TRYAGAIN until the slot has moved.
func keys(shard, key string) []string { return []string{shard + key, shard + "none"} }

// run runs a script on a key of a shard. Where the slot moves it tries again for up to a second.
func (r *Redis) run(ctx context.Context, s *goredis.Script, shard, key string, args ...any) *goredis.Cmd {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	args = append([]any{shard}, args...)
	for {
		cmd := s.Run(ctx, r.client, keys(shard, key), args...)
		if !moves(cmd.Err()) {
			return cmd
		}
		select {
		case <-ctx.Done():
			return cmd
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// moves reports whether an error says that a slot is on its way, or that go-redis has gone after it as often as it does. Such a script has not run.
func moves(err error) bool {
	return goredis.HasErrorPrefix(err, "TRYAGAIN") || goredis.HasErrorPrefix(err, "MOVED") || goredis.HasErrorPrefix(err, "ASK")
}

// once is a command that go-redis does not send again after an answer that was lost: what a claim took the first time would be claimed
// and not sent, until its lease ends.
type once struct{ *goredis.Cmd }

// NoRetry is go-redis's.
func (once) NoRetry() bool { return true }

// runOnce runs the claim of a shard.
func (r *Redis) runOnce(ctx context.Context, shard string, args []any) *goredis.Cmd {
	run := func(name, script string) *goredis.Cmd {
		all := []any{name, script, 2}
		for _, key := range keys(shard, "hosts") {
			all = append(all, key)
		}
		cmd := goredis.NewCmd(ctx, append(append(all, shard), args...)...)
		cmd.SetFirstKeyPos(3)
		_ = r.client.Process(ctx, once{cmd}) // the command keeps the error
		return cmd
	}
	cmd := run("evalsha", r.claim.Hash())
	if goredis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd = run("eval", commonText+claimText)
	}
	return cmd
}

// Claim is Store's. It looks into the shards in turn. One that fails keeps nothing from the others: its error is returned with what they gave.
func (r *Redis) Claim(ctx context.Context, room Room) (jobs []Job, next time.Duration, err error) {
	token := rand.Text()
	next = math.MaxInt64
	first := int(r.turn.Add(1))
	for i := range r.shards {
		shard := r.shards[(first+i)%len(r.shards)]
		args := []any{token, room.Most - len(jobs), room.Lease.Milliseconds(), room.Grace.Milliseconds(), room.Slots}
		for host, free := range room.Free {
			if r.shard(host) == shard {
				args = append(args, host, free)
			}
		}
		more, wait, failed := r.claimOf(ctx, shard, token, args)
		if err == nil {
			err = failed
		}
		jobs = append(jobs, more...)
		next = min(next, wait)
		if len(jobs) >= room.Most {
			break
		}
	}
	return jobs, next, err
}

// claimOf claims in one shard.
func (r *Redis) claimOf(ctx context.Context, shard, token string, args []any) (jobs []Job, next time.Duration, err error) {
	reply, err := r.runOnce(ctx, shard, args).Slice()
	if err != nil {
		return nil, math.MaxInt64, unavailable("claim", err)
	}
	return parseClaim(reply, token)
}

var errReply = fmt.Errorf("%w: redis answers what no script of ours does", ErrUnavailable)

func parseClaim(reply []any, token string) (jobs []Job, next time.Duration, err error) {
	if len(reply) != 2 {
		return nil, math.MaxInt64, errReply
	}
	next = milliseconds(reply[0])
	if next < 0 {
		next = math.MaxInt64
	}
	rows, _ := reply[1].([]any)
	for _, row := range rows {
		f, ok := row.([]any)
		if !ok || len(f) != 10 {
			return nil, math.MaxInt64, errReply
		}
		j := Job{Token: token}
		j.ID, j.Host, j.Subscription, j.URL = text(f[0]), text(f[1]), text(f[2]), text(f[3])
		j.Body, j.Sealed = []byte(text(f[4])), []byte(text(f[5]))
		j.Attempt, j.Step = number(f[6]), max(0, number(f[7]))
		j.Age, j.Created = max(0, milliseconds(f[8])), time.UnixMilli(milliseconds(f[9]).Milliseconds())
		jobs = append(jobs, j)
	}
	return jobs, next, nil
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// number gives 0 for what is none.
func number(v any) int {
	switch v := v.(type) {
	case int64:
		return int(v)
	case string:
		n, _ := strconv.Atoi(v)
		return n
	}
	return 0
}

func milliseconds(v any) time.Duration { return time.Duration(number(v)) * time.Millisecond }

// Finish is Store's.
func (r *Redis) Finish(ctx context.Context, v Verdict) error {
	last, err := json.Marshal(v.Last)
	if err != nil {
		return err
	}
	keep := KeepEnded
	if v.State == Delivered {
		keep = KeepDelivered
	}
	shard := r.shard(v.Host)
	err = r.run(ctx, r.finish, shard, "n:"+v.ID, v.ID, v.Token, string(v.State), v.After.Milliseconds(), v.Step, last, keep.Milliseconds()).Err()
	if err != nil {
		return unavailable("finish", err)
	}
	return nil
}
