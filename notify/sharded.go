package notify

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// shardsOfCluster is how many slots a store takes in a Cluster. It is part of the keys: another number would find none of them.
const shardsOfCluster = 8

// script is a script of Redis, and its text.
type script struct {
	*goredis.Script

	text string
}

func newScript(common, text string) *script {
	return &script{goredis.NewScript(common + text), common + text}
}

// sharded is what a store in Redis runs scripts on: one shard, or eight in a Cluster. All keys of a shard are in one slot.
type sharded struct {
	client goredis.UniversalClient
	shards []string // what the keys of each begin with
}

// newSharded gives keys that begin with the prefix, what the store is for, and the number of the shard in braces.
func newSharded(client goredis.UniversalClient, prefix, what string) sharded {
	s := sharded{client: client}
	n := 1
	if _, ok := client.(*goredis.ClusterClient); ok {
		n = shardsOfCluster
	}
	for i := range n {
		s.shards = append(s.shards, fmt.Sprintf("%s:%s:1:{%s-%d}:", prefix, what, what, i))
	}
	return s
}

// share gives how many things of so many a shard may hold; 0 is any number.
func (s *sharded) share(most int) int { return (most + len(s.shards) - 1) / len(s.shards) }

// shard gives what the keys of a name begin with.
func (s *sharded) shard(name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return s.shards[int(h.Sum32()%uint32(len(s.shards)))] //nolint:gosec // there are eight at most
}

// keys are those that a script of a shard names. The second one never exists: so a Cluster runs no script in a slot that is on its way
// to another server, where a script would find a part of the keys and take the others for gone. It answers TRYAGAIN until the slot has moved.
func keys(shard, key string) []string { return []string{shard + key, shard + "none"} }

// run runs a script on a key of a shard. Where the slot moves it tries again for up to a second.
func (s *sharded) run(ctx context.Context, of *script, shard, key string, args ...any) *goredis.Cmd {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	args = append([]any{shard}, args...)
	for {
		cmd := of.Run(ctx, s.client, keys(shard, key), args...)
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

// runOnce runs a script that claims something of a shard.
func (s *sharded) runOnce(ctx context.Context, of *script, shard, key string, args []any) *goredis.Cmd {
	run := func(name, script string) *goredis.Cmd {
		all := []any{name, script, 2}
		for _, key := range keys(shard, key) {
			all = append(all, key)
		}
		cmd := goredis.NewCmd(ctx, append(append(all, shard), args...)...)
		cmd.SetFirstKeyPos(3)
		_ = s.client.Process(ctx, once{cmd}) // the command keeps the error
		return cmd
	}
	cmd := run("evalsha", of.Hash())
	if goredis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd = run("eval", of.text)
	}
	return cmd
}

var errOtherReply = errors.New("redis answers what no script of ours does")

// cause words an error of Redis or of the way to it. Redis quotes arguments in some of its errors: of those only the first word is kept.
func cause(err error) error {
	if answer, ok := errors.AsType[goredis.Error](err); ok {
		code, _, _ := strings.Cut(answer.Error(), " ")
		return fmt.Errorf("redis answers %.32q", code)
	}
	if _, ok := errors.AsType[*strconv.NumError](err); ok { // it quotes the answer
		return errOtherReply
	}
	return err
}

// unavailable is ErrUnavailable with a cause.
func unavailable(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, what, cause(err))
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

// span gives a time in milliseconds that Redis has computed; ok is false for what is none, or is less than 0.
func span(v any) (d time.Duration, ok bool) {
	ms, err := strconv.ParseFloat(fmt.Sprint(v), 64)
	if err != nil || !(ms >= 0) || math.IsInf(ms, 1) {
		return 0, false
	}
	return time.Duration(min(ms, float64(math.MaxInt64/time.Millisecond/2))) * time.Millisecond, true
}
