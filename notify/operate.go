package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// fields are what an Entry is made of.
var fields = []string{"state", "lease", "sub", "url", "attempts", "created", "ended", "size", "last", "trip", "host"}

// entry makes an Entry of fields. ok is false where the notification is not there.
func entry(id string, f []any) (e Entry, ok bool) {
	if len(f) != len(fields) || f[0] == nil {
		return Entry{}, false
	}
	e = Entry{
		ID: id, State: State(text(f[0])), Sending: f[1] != nil, Subscription: text(f[2]), URL: shown(text(f[3])), Attempts: number(f[4]),
		Created: instant(f[5]), Ended: instant(f[6]), Size: number(f[7]), Trip: text(f[9]),
	}
	if last := text(f[8]); last != "" {
		e.Last = new(Attempt)
		if json.Unmarshal([]byte(last), e.Last) != nil {
			e.Last = nil
		}
	}
	return e, true
}

// instant gives the zero time for what is none.
func instant(v any) time.Time {
	if n := number(v); n > 0 {
		return time.UnixMilli(int64(n))
	}
	return time.Time{}
}

// Show is Store's. It asks all shards.
func (r *Redis) Show(ctx context.Context, id string) (Entry, error) {
	for _, shard := range r.shards {
		entries, err := r.entries(ctx, shard, []string{id})
		if err != nil {
			return Entry{}, err
		}
		if len(entries) > 0 {
			return entries[0], nil
		}
	}
	return Entry{}, ErrUnknown
}

// entries gives those of ids of a shard that are there.
func (r *Redis) entries(ctx context.Context, shard string, ids []string) ([]Entry, error) {
	pipe := r.client.Pipeline()
	found := make([]*goredis.SliceCmd, len(ids))
	for i, id := range ids {
		found[i] = pipe.HMGet(ctx, shard+"n:"+id, fields...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, unavailable("show", err)
	}
	var entries []Entry
	due := make(map[int]*goredis.FloatCmd)
	pipe = r.client.Pipeline()
	for i, id := range ids {
		e, ok := entry(id, found[i].Val())
		if !ok {
			continue
		}
		if e.State == Open && !e.Sending {
			due[len(entries)] = pipe.ZScore(ctx, shard+"due:"+text(found[i].Val()[len(fields)-1]), id)
		}
		entries = append(entries, e)
	}
	_, _ = pipe.Exec(ctx) // one that is not there any more has no time
	for i, at := range due {
		if at.Err() == nil {
			entries[i].Due = time.UnixMilli(int64(at.Val()))
		}
	}
	return entries, nil
}

// List is Store's.
func (r *Redis) List(ctx context.Context, f Filter) (entries []Entry, after string, err error) {
	for _, shard := range r.shards {
		of, err := r.list(ctx, shard, f)
		if err != nil {
			return nil, "", err
		}
		entries = append(entries, of...)
	}
	entries, after = f.page(entries)
	return entries, after, nil
}

// list gives at least the first entries of a shard behind the cursor that a Filter asks for, and one more.
func (r *Redis) list(ctx context.Context, shard string, f Filter) (all []Entry, err error) {
	const chunk = 200
	from, _ := parseCursor(f.After)
	least := "-inf"
	if f.After != "" {
		least = strconv.FormatInt(from.UnixMilli(), 10)
	}
	for offset := int64(0); ; offset += chunk {
		ids, err := r.client.ZRangeByScore(ctx, shard+"state:"+string(cmp.Or(f.State, Open)), &goredis.ZRangeBy{
			Min: least, Max: "+inf", Offset: offset, Count: chunk,
		}).Result()
		if err != nil {
			return nil, unavailable("list", err)
		}
		more, err := r.entries(ctx, shard, ids)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
		if of := f.of(slices.Clone(all)); len(of) > f.limit() || len(ids) < chunk {
			return of, nil
		}
	}
}

// Retry is Store's.
func (r *Redis) Retry(ctx context.Context, id string) error { return r.each(ctx, "retry", r.retry, id) }

// Drop is Store's.
func (r *Redis) Drop(ctx context.Context, id string) error { return r.each(ctx, "drop", r.drop, id) }

// each runs a script about an id in the shards, until one has it.
func (r *Redis) each(ctx context.Context, what string, s *script, id string) error {
	for _, shard := range r.shards {
		done, err := r.run(ctx, s, shard, "n:"+id, id).Int()
		switch {
		case err != nil:
			return unavailable(what, err)
		case done == -2:
			return ErrDelivered
		case done >= 0:
			return nil
		}
	}
	return ErrUnknown
}

// Open is Store's. It asks the shards one after the other, for a thousand ids at a time.
func (r *Redis) Open(ctx context.Context, ids []string) (bool, error) {
	for some := range slices.Chunk(ids, 1000) {
		args := make([]any, len(some))
		for i, id := range some {
			args[i] = id
		}
		for _, shard := range r.shards {
			open, err := r.run(ctx, r.open, shard, "hosts", args...).Int()
			switch {
			case err != nil:
				return false, unavailable("look for open notifications", err)
			case open > 0:
				return true, nil
			}
		}
	}
	return false, nil
}

// Stats is Store's.
func (r *Redis) Stats(ctx context.Context) (s Stats, err error) {
	for _, shard := range r.shards {
		counts, err := r.run(ctx, r.stats, shard, "hosts", KeepEnded.Milliseconds()).Int64Slice()
		if err != nil {
			return Stats{}, unavailable("stats", err)
		}
		if len(counts) != 5 {
			return Stats{}, fmt.Errorf("stats: %w", errReply)
		}
		for i, state := range []State{Open, Dead, Refused, Gone} {
			s.add(state, int(counts[i]))
		}
		s.Oldest = max(s.Oldest, time.Duration(counts[4])*time.Millisecond)
	}
	return s, nil
}
