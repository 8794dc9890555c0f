package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
)

const (
	// bindingMargin is how much longer than its record a binding lasts at least.
	bindingMargin = time.Minute
	// leftFor is how long the finals of a released record can be read by those who waited for it.
	leftFor = 10 * time.Second
	// watchFor is how long a node is told of a trip without asking again.
	watchFor = 30 * time.Second
)

// record stores rec where the rule says so, and reports whether it has.
func (s *store) record(ctx context.Context, id correlator.ID, rec correlator.Record, when rule) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	saving := s.saving(id, rec, when)
	saved, err := saving.script.Run(ctx, s.client, saving.keys, saving.args...).Bool()
	if err != nil {
		return false, unavailable("save a record", err)
	}
	return saved, nil
}

func (s *store) saving(id correlator.ID, rec correlator.Record, when rule) call {
	args := make([]any, 6, 6+2*len(rec.Finals))
	args[0], args[1], args[2], args[3], args[4], args[5] = rec.Meta, len(rec.Finals), life(id), s.keep(id), string(when), hint(id)
	for op, cb := range rec.Finals {
		if cb.Status.Final() {
			args = append(args, op, value(cb))
		}
	}
	return call{s.save, []string{s.trip(id), s.watchers(id), s.inbox(id.Home())}, args}
}

// bind stores rec and binds key to its trip, unless that is bound to another one than seen. It gives the binding that
// the key has then. In a Cluster it takes two round trips.
func (s *store) bind(ctx context.Context, key string, b binding, rec correlator.Record, seen binding) (binding, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	id := b.id()
	// The record first: a binding without one is taken for an old one.
	replies, err := s.inOrder(ctx, s.saving(id, rec, always), s.binding(key, b, seen))
	if err != nil {
		return "", unavailable("claim a key", err)
	}
	text, err := replies[1].Text()
	if err != nil {
		return "", unavailable("claim a key", err)
	}
	return parseBinding(text)
}

func (s *store) binding(key string, b, seen binding) call {
	lasts := life(b.id()) + (s.retention + bindingMargin).Milliseconds() // a record may become complete in its last moment
	return call{s.claim, []string{key}, []any{string(b), lasts, string(seen)}}
}

// yield drops the record of a trip whose claim is lost, and reports whether the owner has one.
func (s *store) yield(ctx context.Context, id, owner correlator.ID) (recorded bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	pipe := s.client.Pipeline()
	pipe.Unlink(ctx, s.trip(id))
	owned := pipe.HExists(ctx, s.trip(owner), opsField)
	if _, err := pipe.Exec(ctx); err != nil {
		return false, unavailable("look for a key's owner", err)
	}
	return owned.Val(), nil
}

// bound gives the binding of a key, empty when it has none.
func (s *store) bound(ctx context.Context, key string) (binding, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	text, err := s.client.Get(ctx, key).Result()
	if errors.Is(err, goredis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", unavailable("look for a key's owner", err)
	}
	return parseBinding(text)
}

// undo drops the record of a trip, tells those who wait for it, and frees the key if it is bound to it. In a
// Cluster it takes two round trips.
func (s *store) undo(ctx context.Context, key string, id correlator.ID) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.inOrder(ctx, // the key last: while it is bound this can be done again
		call{s.release, []string{s.trip(id), s.watchers(id), s.left(id)}, []any{leftFor.Milliseconds(), hint(id)}},
		call{s.unbind, []string{key}, []any{id[:]}},
	)
	if err != nil {
		return unavailable("release a key", err)
	}
	return nil
}

// restore stores the records of claims again and binds their keys, where they are not bound to others. It takes two
// round trips.
func (s *store) restore(ctx context.Context, claims []inFlight) error {
	records, bindings := make([]call, len(claims)), make([]call, len(claims))
	for i, f := range claims {
		records[i] = s.saving(f.claim.id(), f.rec, always)
		bindings[i] = s.binding(f.claim.key, f.claim.binding, "")
	}
	for _, calls := range [][]call{records, bindings} {
		if err := s.restoreAll(ctx, calls); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) restoreAll(ctx context.Context, calls []call) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := firstError(s.together(ctx, calls)); err != nil {
		return unavailable("restore claims", err)
	}
	return nil
}

// lookup reads a record. ErrGone when there is none.
func (s *store) lookup(ctx context.Context, id correlator.ID) (correlator.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	fields, err := s.client.HGetAll(ctx, s.trip(id)).Result()
	if err != nil {
		return correlator.Record{}, unavailable("read a record", err)
	}
	rec, err := parseRecord(fields)
	if err != nil {
		return correlator.Record{}, fmt.Errorf("correlator/redis: read a record: %w", err)
	}
	return rec, nil
}

// parseRecord reads the hash of a trip. ErrGone when there is no record in it.
func parseRecord(fields map[string]string) (correlator.Record, error) {
	number, recorded := fields[opsField]
	if !recorded {
		return correlator.Record{}, correlator.ErrGone
	}
	ops, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return correlator.Record{}, errWire
	}
	rec := correlator.Record{Meta: []byte(fields[metaField]), Finals: make([]correlator.Callback, ops)}
	for op := range rec.Finals {
		text, final := fields[strconv.Itoa(op)]
		if !final {
			rec.Finals[op].Op = op
			continue
		}
		if rec.Finals[op], err = parseValue(op, text); err != nil {
			return correlator.Record{}, err
		}
	}
	return rec, nil
}

// sight is what a look at a trip shows.
type sight struct {
	state  sighted
	known  int                   // how many finals there are
	finals []correlator.Callback // all of them, or none when as many are known
}

type sighted int64

// As the script returns them.
const (
	unrecorded sighted = 0
	recorded   sighted = 1
	released   sighted = 2
)

// sights looks at trips for a node that waits for them, by how many of their finals it knows. What could not be seen
// has an error.
func (s *store) sights(ctx context.Context, node correlator.NodeID, ids []correlator.ID, known []int) ([]sight, []error) {
	calls := make([]call, len(ids))
	for i, id := range ids {
		calls[i] = call{
			s.look,
			[]string{s.trip(id), s.watchers(id), s.left(id)},
			[]any{known[i], s.channel(node), watchFor.Milliseconds()},
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	seen, errs := make([]sight, len(ids)), make([]error, len(ids))
	for i, reply := range s.together(ctx, calls) {
		parts, err := reply.Slice()
		if err != nil {
			errs[i] = unavailable("look at a trip", err)
			continue
		}
		seen[i], errs[i] = parseSight(parts)
	}
	return seen, errs
}

// parseSight reads what look.lua returns.
func parseSight(parts []any) (s sight, err error) {
	if len(parts) < 2 {
		return sight{}, errWire
	}
	state, isState := parts[0].(int64)
	known, isNumber := parts[1].(int64)
	if !isState || !isNumber || state < int64(unrecorded) || state > int64(released) {
		return sight{}, errWire
	}
	s.state, s.known = sighted(state), int(known)
	if len(parts) == 2 {
		return s, nil
	}
	fields, isHash := parts[2].([]any)
	if !isHash {
		return sight{}, errWire
	}
	s.finals, err = parseFinals(fields)
	return s, err
}

// parseFinals reads names and values of the hash of a trip.
func parseFinals(fields []any) ([]correlator.Callback, error) {
	var finals []correlator.Callback
	for i := 0; i+1 < len(fields); i += 2 {
		name, isName := fields[i].(string)
		text, isText := fields[i+1].(string)
		if !isName || !isText {
			return nil, errWire
		}
		if name == metaField || name == opsField {
			continue
		}
		op, err := strconv.ParseUint(name, 10, 16)
		if err != nil {
			return nil, errWire
		}
		cb, err := parseValue(int(op), text)
		if err != nil {
			return nil, err
		}
		finals = append(finals, cb)
	}
	return finals, nil
}
