package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"
)

// call is one run of a script.
type call struct {
	script *goredis.Script
	keys   []string
	args   []any
}

// together runs scripts in one round trip, in whatever order a Cluster has for them. Each reply has its own error. A script that finds
// a key of another type has that removed and is run once more: the key is not ours.
func (s *store) together(ctx context.Context, calls []call) []*goredis.Cmd {
	replies := s.runAll(ctx, calls, false)
	for i, c := range calls {
		s.mended(ctx, c, replies, i)
	}
	return replies
}

// mended runs a script once more that has found a key of another type.
func (s *store) mended(ctx context.Context, c call, replies []*goredis.Cmd, i int) {
	if isWrongType(replies[i].Err()) && s.mendKeys(ctx, c.keys) == nil {
		replies[i] = s.runAll(ctx, []call{c}, false)[0]
	}
}

// isWrongType reports whether a key holds another type than ours do. A script's error names the code as a command's does, or quotes it.
func isWrongType(err error) bool { return err != nil && goredis.HasErrorPrefix(err, "WRONGTYPE") }

// mendKeys removes those of a script's keys that hold another type than ours do.
func (s *store) mendKeys(ctx context.Context, keys []string) error {
	removed, err := s.mend.Run(ctx, s.client, keys).Int()
	if err != nil {
		return unavailable("remove what is not ours", err)
	}
	for range removed {
		s.tags.refuse(kindType)
	}
	return nil
}

// misfit is the text of a field that is not ours.
type misfit struct{ key, field, text string }

// expelAll removes what is not ours, unless it has changed meanwhile.
func (s *store) expelAll(ctx context.Context, all []misfit) error {
	calls := make([]call, len(all))
	for i, m := range all {
		calls[i] = call{s.expel, []string{m.key}, []any{m.field, m.text}}
	}
	if err := firstError(s.together(ctx, calls)); err != nil {
		return unavailable("remove what is not ours", err)
	}
	return nil
}

// runAll runs scripts in one round trip. Those that the server does not know are run once more with their text, and if they are ordered, all behind the
// first of them. None of the others is run twice: it would find what it has done itself.
func (s *store) runAll(ctx context.Context, calls []call, ordered bool) []*goredis.Cmd {
	if len(calls) == 1 {
		return []*goredis.Cmd{calls[0].script.Run(ctx, s.client, calls[0].keys, calls[0].args...)}
	}
	replies := s.pipe(ctx, calls, (*goredis.Script).EvalSha)
	var again []int
	for i, reply := range replies {
		if goredis.HasErrorPrefix(reply.Err(), "NOSCRIPT") || ordered && len(again) > 0 {
			again = append(again, i)
		}
	}
	if len(again) == 0 {
		return replies
	}
	unknown := make([]call, len(again))
	for i, index := range again {
		unknown[i] = calls[index]
	}
	for i, reply := range s.pipe(ctx, unknown, (*goredis.Script).Eval) {
		replies[again[i]] = reply
	}
	return replies
}

func (s *store) pipe(ctx context.Context, calls []call,
	run func(*goredis.Script, context.Context, goredis.Scripter, []string, ...any) *goredis.Cmd,
) []*goredis.Cmd {
	pipe := s.client.Pipeline()
	replies := make([]*goredis.Cmd, len(calls))
	for i, c := range calls {
		replies[i] = run(c.script, ctx, pipeOfOnce{pipe}, c.keys, c.args...)
	}
	_, _ = pipe.Exec(ctx) // every reply has its own error
	return replies
}

// inOrder runs scripts one after the other: in one round trip, but in a Cluster in one for each, as its pipelines have
// no order. When it returns no error, each of them has been run after the one before. With an error, any may have been.
func (s *store) inOrder(ctx context.Context, calls ...call) (replies []*goredis.Cmd, err error) {
	if !s.sharded {
		replies = s.runAll(ctx, calls, true)
		for i, c := range calls {
			s.mended(ctx, c, replies, i)
		}
		return replies, firstError(replies)
	}
	for i := range calls {
		replies = append(replies, s.together(ctx, calls[i:i+1])...)
		if err := replies[i].Err(); err != nil {
			return nil, err
		}
	}
	return replies, nil
}

func firstError(replies []*goredis.Cmd) error {
	for _, reply := range replies {
		if err := reply.Err(); err != nil {
			return err
		}
	}
	return nil
}

// pipeOfOnce is a pipeline whose scripts are run once, wherever their keys have moved. When one script of a Cluster's pipeline
// has moved and another is to be tried again, go-redis (v9.23.0, ClusterClient.pipelineReadCmds) would try the first one in
// two places at the same time, and both answers would be written to one reply.
type pipeOfOnce struct{ goredis.Pipeliner }

// once is a script that go-redis follows where its key has moved, and does not try again otherwise: its caller does.
type once struct{ *goredis.Cmd }

func (once) NoRetry() bool { return true }

func (p pipeOfOnce) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *goredis.Cmd {
	return p.add(ctx, "evalsha", sha, keys, args)
}

func (p pipeOfOnce) Eval(ctx context.Context, text string, keys []string, args ...any) *goredis.Cmd {
	return p.add(ctx, "eval", text, keys, args)
}

func (p pipeOfOnce) add(ctx context.Context, name, script string, keys []string, args []any) *goredis.Cmd {
	all := append(make([]any, 0, 3+len(keys)+len(args)), name, script, len(keys))
	for _, key := range keys {
		all = append(all, key)
	}
	cmd := goredis.NewCmd(ctx, append(all, args...)...)
	cmd.SetFirstKeyPos(3)
	_ = p.Process(ctx, once{cmd}) // it is only put into the pipeline
	return cmd
}
