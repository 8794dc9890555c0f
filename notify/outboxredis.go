package notify

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
)

var (
	//go:embed scripts/outbox/common.lua
	outboxText string
	//go:embed scripts/outbox/owe.lua
	oweText string
	//go:embed scripts/outbox/move.lua
	moveText string
	//go:embed scripts/outbox/done.lua
	doneText string
	//go:embed scripts/outbox/due.lua
	dueText string
	//go:embed scripts/outbox/count.lua
	countText string
)

// RedisOutbox is an OutboxStore that all processes share which have the same Redis (or Valkey, Sentinel, Cluster) and prefix.
//
// Keys begin with the prefix and :outbox:1:{outbox-0}: with the number of the shard, so that all of one shard is in one slot of a Cluster. A Cluster has
// eight shards, others one. Times are those of Redis. scripts/outbox/common.lua says what the keys hold. Who can write to Redis can have tasks looked at that are
// not owed, which does nothing, and can have results lost or sent again.
type RedisOutbox struct {
	sharded

	most int
	turn atomic.Uint32

	owe, move, done, due, count *script
}

// NewRedisOutbox makes an OutboxStore of at most so many tasks, 0: MaxOwed; in a Cluster each shard has an eighth. prefix begins every key. It sends nothing
// yet, and does not close the client, which is to have ContextTimeoutEnabled.
func NewRedisOutbox(client goredis.UniversalClient, prefix string, most int) *RedisOutbox {
	r := &RedisOutbox{
		sharded: newSharded(client, prefix, "outbox"),
		owe:     newScript(outboxText, oweText), move: newScript(outboxText, moveText), done: newScript(outboxText, doneText),
		due: newScript(outboxText, dueText), count: newScript(outboxText, countText),
	}
	if most <= 0 {
		most = MaxOwed
	}
	r.most = r.share(most)
	return r
}

// owedError is correlator.ErrUnavailable with a cause.
func owedError(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", correlator.ErrUnavailable, what, cause(err))
}

// Owe is OutboxStore's.
func (r *RedisOutbox) Owe(ctx context.Context, task correlator.ID, after time.Duration, sent bool) error {
	flag := 0
	if sent {
		flag = 1
	}
	done, err := r.run(ctx, r.owe, r.shard(string(task[:])), "due", task[:], max(0, after).Milliseconds(), flag, r.most).Int()
	switch {
	case err != nil:
		return owedError("keep a task whose result is to be pushed", err)
	case done < 0:
		return errOwed
	}
	return nil
}

// Move is OutboxStore's.
func (r *RedisOutbox) Move(ctx context.Context, task correlator.ID, after time.Duration) (sent, known bool, err error) {
	is, err := r.run(ctx, r.move, r.shard(string(task[:])), "due", task[:], max(0, after).Milliseconds()).Int()
	if err != nil {
		return false, false, owedError("put a task off whose result is to be pushed", err)
	}
	return is == 1, is >= 0, nil
}

// Done is OutboxStore's.
func (r *RedisOutbox) Done(ctx context.Context, task correlator.ID) error {
	if err := r.run(ctx, r.done, r.shard(string(task[:])), "due", task[:]).Err(); err != nil {
		return owedError("forget a task whose result is pushed", err)
	}
	return nil
}

// Due is OutboxStore's. It looks into the shards in turn.
func (r *RedisOutbox) Due(ctx context.Context, most int, lease time.Duration) (tasks []Owed, next time.Duration, err error) {
	next = math.MaxInt64
	first := int(r.turn.Add(1))
	for i := range r.shards {
		shard := r.shards[(first+i)%len(r.shards)]
		more, wait, failed := r.dueOf(ctx, shard, most-len(tasks), lease)
		if err == nil {
			err = failed
		}
		tasks = append(tasks, more...)
		next = min(next, wait)
		if len(tasks) >= most {
			break
		}
	}
	return tasks, next, err
}

// dueOf gives what is due of a shard.
func (r *RedisOutbox) dueOf(ctx context.Context, shard string, most int, lease time.Duration) (tasks []Owed, next time.Duration, err error) {
	reply, err := r.runOnce(ctx, r.due, shard, "due", []any{most, lease.Milliseconds()}).Slice()
	if err != nil {
		return nil, math.MaxInt64, owedError("look for tasks whose results are to be pushed", err)
	}
	var rows []any
	if len(reply) == 2 {
		rows, _ = reply[1].([]any)
	}
	if rows == nil {
		return nil, math.MaxInt64, owedError("look for tasks whose results are to be pushed", errOtherReply)
	}
	for ; len(rows) >= 2; rows = rows[2:] {
		var t Owed
		if id := text(rows[0]); copy(t.Task[:], id) == len(t.Task) && len(id) == len(t.Task) {
			t.Sent = number(rows[1]) == 1
			tasks = append(tasks, t)
		}
	}
	next, ok := span(reply[0])
	if !ok {
		next = math.MaxInt64
	}
	return tasks, next, nil
}

// Count is OutboxStore's.
func (r *RedisOutbox) Count(ctx context.Context) (n int, late time.Duration, err error) {
	for _, shard := range r.shards {
		counts, err := r.run(ctx, r.count, shard, "due").Slice()
		if err == nil && len(counts) != 2 {
			err = errOtherReply
		}
		if err != nil {
			return 0, 0, owedError("count the tasks whose results are to be pushed", err)
		}
		n += number(counts[0])
		d, _ := span(counts[1])
		late = max(late, d)
	}
	return n, late, nil
}
