package notify

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

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
	//go:embed scripts/open.lua
	openText string
)

// Redis is a Store that all processes share which have the same Redis (or Valkey, Sentinel, Cluster) and prefix.
//
// Keys begin with the prefix and :notify:1:{notify-0}: with the number of the shard, so that all of one shard is in one slot of a Cluster. A notification is in
// the shard of its host. A Cluster has eight shards, others one. Times are those of Redis. scripts/common.lua says what the keys hold.
type Redis struct {
	sharded

	most int
	turn atomic.Uint32

	put, claim, finish, retry, drop, stats, open *script
}

// NewRedis makes a Store of at most so many open notifications, 0: any number. prefix begins every key. It sends nothing yet, and does not
// close the client.
func NewRedis(client goredis.UniversalClient, prefix string, most int) *Redis {
	r := &Redis{
		sharded: newSharded(client, prefix, "notify"),
		put:     newScript(commonText, putText), claim: newScript(commonText, claimText), finish: newScript(commonText, finishText),
		retry: newScript(commonText, retryText), drop: newScript(commonText, dropText), stats: newScript(commonText, statsText),
		open: newScript(commonText, openText),
	}
	r.most = r.share(most)
	return r
}

// Put is Store's.
func (r *Redis) Put(ctx context.Context, n Record) error {
	shard := r.shard(n.Host)
	done, err := r.run(ctx, r.put, shard, "n:"+n.ID, n.ID, n.Host, n.Subscription, n.URL, n.Body, n.Sealed, r.most, n.Trip).Int()
	switch {
	case err != nil:
		return unavailable("put", err)
	case done < 0:
		return ErrFull
	}
	return nil
}

// Claim is Store's. It looks into the shards in turn. One that fails keeps nothing from the others: its error is returned with what they gave.
func (r *Redis) Claim(ctx context.Context, room Room) (jobs []Job, next time.Duration, err error) {
	token := rand.Text()
	next = math.MaxInt64
	first, size := int(r.turn.Add(1)), 0
	for i := range r.shards {
		shard := r.shards[(first+i)%len(r.shards)]
		args := []any{token, room.Most - len(jobs), room.Lease.Milliseconds(), room.Grace.Milliseconds(), room.Slots, max(0, room.Bytes-size)}
		for host, free := range room.Free {
			if r.shard(host) == shard {
				args = append(args, host, free)
			}
		}
		more, wait, failed := r.claimOf(ctx, shard, token, args)
		if err == nil {
			err = failed
		}
		for _, j := range more {
			jobs, size = append(jobs, j), size+len(j.Body)
		}
		next = min(next, wait)
		if !room.takes(jobs, MaxBody) {
			break
		}
	}
	return jobs, next, err
}

// claimOf claims in one shard.
func (r *Redis) claimOf(ctx context.Context, shard, token string, args []any) (jobs []Job, next time.Duration, err error) {
	reply, err := r.runOnce(ctx, r.claim, shard, "hosts", args).Slice()
	if err != nil {
		return nil, math.MaxInt64, unavailable("claim", err)
	}
	return parseClaim(reply, token)
}

var errReply = fmt.Errorf("%w: %w", ErrUnavailable, errOtherReply)

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
		if !ok || len(f) != 11 {
			return nil, math.MaxInt64, errReply
		}
		j := Job{Token: token}
		j.ID, j.Host, j.Subscription, j.URL = text(f[0]), text(f[1]), text(f[2]), text(f[3])
		j.Body, j.Sealed = []byte(text(f[4])), []byte(text(f[5]))
		j.Attempt, j.Step = number(f[6]), max(0, number(f[7]))
		j.Age, j.Created = max(0, milliseconds(f[8])), time.UnixMilli(milliseconds(f[9]).Milliseconds())
		j.Trip = text(f[10])
		jobs = append(jobs, j)
	}
	return jobs, next, nil
}

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
	shard, unsent := r.shard(v.Host), 0
	if v.Unsent {
		unsent = 1
	}
	err = r.run(ctx, r.finish, shard, "n:"+v.ID, v.ID, v.Token, string(v.State), v.After.Milliseconds(), v.Step, last, keep.Milliseconds(), unsent).Err()
	if err != nil {
		return unavailable("finish", err)
	}
	return nil
}
