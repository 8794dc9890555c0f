package redis

import (
	"context"
	"errors"
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
	// undoneFor is how long a key remembers that a claim was undone. A claim that went out over a connection which was given up may come later than what
	// undoes it: when Redis or the network stood still.
	undoneFor = time.Minute
	// watchFor is how long a node hears of a trip without asking again.
	watchFor = 30 * time.Second
)

// record stores rec where the rule says so, and reports whether it has. Finals that are there already stand, if they are genuine.
func (s *store) record(ctx context.Context, id correlator.ID, rec correlator.Record, when rule) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	saving := []call{s.saving(id, rec, when)}
	for range 2 {
		reply, err := s.together(ctx, saving)[0].Result()
		if err != nil {
			return false, unavailable("save a record", err)
		}
		standing, isList := reply.([]any)
		if !isList {
			return reply == int64(1), nil
		}
		misfits := s.misfits(id, standing)
		if len(misfits) == 0 {
			return true, nil
		}
		if err := s.expelAll(ctx, misfits); err != nil {
			return false, err
		}
	}
	return false, unavailable("save a record", errForged) // somebody writes faster than we do
}

// misfits gives what is not ours of the finals that save.lua has found.
func (s *store) misfits(id correlator.ID, standing []any) (all []misfit) {
	for i := 0; i+1 < len(standing); i += 2 {
		field, _ := standing[i].(string)
		text, _ := standing[i+1].(string)
		op, err := parseDecimal(field, 16)
		if err == nil {
			_, err = s.tags.parseValue(entry{id: id, op: op}, text)
		}
		if err != nil {
			all = append(all, misfit{s.trip(id), field, text})
		}
	}
	return all
}

func (s *store) saving(id correlator.ID, rec correlator.Record, when rule) call {
	args := make([]any, 6, 6+2*len(rec.Finals))
	args[0], args[1], args[2], args[3], args[4], args[5] = s.tags.meta(id, rec), len(rec.Finals), life(id), s.keep(id), string(when), hint(id)
	for op, cb := range rec.Finals {
		if cb.Status.Final() {
			cb.Op = op
			args = append(args, op, s.tags.value(id, cb))
		}
	}
	return call{s.save, []string{s.trip(id), s.watchers(id), s.inbox(id.Home())}, args}
}

// bind stores rec and binds key to its trip, unless that is bound to another one than seen. It gives what the key holds
// then. In a Cluster it takes two round trips.
func (s *store) bind(ctx context.Context, key string, b binding, rec correlator.Record, seen string) (bound string, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	id := b.id()
	// The record first: a binding without one is taken for an old one.
	replies, err := s.inOrder(ctx, s.saving(id, rec, always), s.binding(key, b, seen))
	if err != nil {
		return "", unavailable("claim a key", err)
	}
	if bound, err = replies[1].Text(); err != nil {
		return "", unavailable("claim a key", err)
	}
	return bound, nil
}

func (s *store) binding(key string, b binding, seen string) call {
	lasts := life(b.id()) + s.keepComplete(b.id().Marked(), b.id().Outlasts()) + bindingMargin.Milliseconds() // a record may become complete in its last moment
	return call{s.claim, []string{key}, []any{s.tags.bound(key, b), lasts, seen, s.tags.undone(key, b.id())}}
}

// yield drops the record of a trip whose claim is lost, and reports whether the owner has one.
func (s *store) yield(ctx context.Context, id, owner correlator.ID) (recorded bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	pipe := s.client.Pipeline()
	dropped := pipe.Unlink(ctx, s.trip(id))
	owned := pipe.HMGet(ctx, s.trip(owner), metaField, opsField)
	_, _ = pipe.Exec(ctx) // each command has its own error
	fields, err := owned.Result()
	switch {
	case dropped.Err() != nil:
		return false, unavailable("look for a key's owner", dropped.Err())
	case isWrongType(err):
		return false, nil
	case err != nil:
		return false, unavailable("look for a key's owner", err)
	}
	meta, _ := fields[0].(string)
	ops, is := fields[1].(string)
	if !is {
		return false, nil
	}
	_, err = s.tags.parseMeta(owner, meta, ops)
	return err == nil, nil
}

// bound gives the binding of a key, empty when it has none.
func (s *store) bound(ctx context.Context, key string) (binding, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	text, err := s.client.Get(ctx, key).Result()
	if errors.Is(err, goredis.Nil) || isWrongType(err) {
		return "", nil
	}
	if err != nil {
		return "", unavailable("look for a key's owner", err)
	}
	b, err := s.tags.parseBound(key, text)
	if err != nil {
		return "", nil // it is counted, and binds nothing
	}
	return b, nil
}

// undo drops the record of a trip, tells those who wait for it, and frees the key if it is bound to it. In a
// Cluster it takes two round trips.
func (s *store) undo(ctx context.Context, key string, id correlator.ID) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.inOrder(ctx, // the key last: while it is bound this can be done again
		call{s.release, []string{s.trip(id), s.watchers(id), s.left(id), s.merged(id), s.events(id)}, []any{leftFor.Milliseconds(), hint(id), s.tags.mark(kindReleased, id)}},
		call{s.unbind, []string{key}, []any{id[:], s.tags.undone(key, id), undoneFor.Milliseconds()}},
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
	pipe := s.client.Pipeline()
	trip, merged := pipe.HGetAll(ctx, s.trip(id)), pipe.HGetAll(ctx, s.merged(id))
	_, _ = pipe.Exec(ctx) // each command has its own error
	fields, err := trip.Result()
	if isWrongType(err) {
		return correlator.Record{}, correlator.ErrGone
	}
	if err != nil {
		return correlator.Record{}, unavailable("read a record", err)
	}
	rec, err := s.tags.parseRecord(id, fields)
	if err != nil {
		return correlator.Record{}, err
	}
	reported, err := merged.Result()
	if err != nil && !isWrongType(err) {
		return correlator.Record{}, unavailable("read a record", err)
	}
	rec.Merged, rec.Seq = s.tags.parseMerged(id, len(rec.Finals), reported)
	rec.Last = parseLast(len(rec.Finals), reported)
	return rec, nil
}

// extend keeps a record for at least d more, or lets it go. ErrGone.
func (s *store) extend(ctx context.Context, id correlator.ID, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	natural := s.retention.Milliseconds()
	if id.Outlasts() {
		natural = 0
	}
	reply := s.together(ctx, []call{{s.prolong, []string{s.trip(id), s.merged(id), s.events(id)}, []any{max(d, 0).Milliseconds(), natural}}})[0]
	switch known, err := reply.Int(); {
	case err != nil:
		return unavailable("keep a record for longer", err)
	case known == 0:
		return correlator.ErrGone
	}
	return nil
}

// parseRecord reads the hash of a trip. ErrGone when there is no record in it. An op whose final is forged has none.
func (t *tags) parseRecord(id correlator.ID, fields map[string]string) (correlator.Record, error) {
	ops, recorded := fields[opsField]
	if !recorded {
		return correlator.Record{}, correlator.ErrGone
	}
	rec, err := t.parseMeta(id, fields[metaField], ops)
	if err != nil {
		return correlator.Record{}, correlator.ErrGone
	}
	for op := range rec.Finals {
		text, final := fields[strconv.Itoa(op)]
		if final {
			rec.Finals[op], err = t.parseValue(entry{id: id, op: op}, text)
		}
		if !final || err != nil {
			rec.Finals[op] = correlator.Callback{Op: op}
		}
	}
	return rec, nil
}

// sight is what a look at a trip shows.
type sight struct {
	state  sighted
	known  int                   // how many finals there are that are genuine
	finals []correlator.Callback // all of them, or none when as many are known
	events []correlator.Callback // those after the last one that is known
}

// glance is what a look at a trip is to show: what is not known yet.
type glance struct {
	id    correlator.ID
	known int   // how many finals are known
	after int64 // the last event that is known; noEvents: they do not matter
}

// noEvents is no number of an event: it has none shown.
const noEvents = -1

type sighted int64

// As the script returns them.
const (
	unrecorded sighted = 0
	recorded   sighted = 1
	released   sighted = 2
)

// sights looks at trips for a node that waits for them. What could not be seen has an error.
func (s *store) sights(ctx context.Context, node correlator.NodeID, glances []glance) ([]sight, []error) {
	calls := make([]call, len(glances))
	for i, g := range glances {
		calls[i] = call{
			s.look,
			[]string{s.trip(g.id), s.watchers(g.id), s.left(g.id), s.merged(g.id), s.events(g.id)},
			[]any{g.known, s.channel(node), watchFor.Milliseconds(), g.after},
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	seen, errs := make([]sight, len(glances)), make([]error, len(glances))
	replies := s.together(ctx, calls)
	for i, g := range glances {
		parts, err := replies[i].Slice()
		if err != nil {
			errs[i] = unavailable("look at a trip", err)
			continue
		}
		seen[i], errs[i] = s.tags.parseSight(g.id, parts)
	}
	return seen, errs
}

// parseSight reads what look.lua returns of a trip.
func (t *tags) parseSight(id correlator.ID, parts []any) (s sight, err error) {
	if len(parts) < 2 {
		return sight{}, errWire
	}
	state, isState := parts[0].(int64)
	known, isNumber := parts[1].(int64)
	if !isState || !isNumber || state < int64(unrecorded) || state > int64(released) {
		return sight{}, errWire
	}
	s.state, s.known = sighted(state), int(known)
	if len(parts) > 3 {
		list, isList := parts[3].([]any)
		if !isList {
			return sight{}, errWire
		}
		s.events = t.parseEvents(id, list)
	}
	if len(parts) == 2 || parts[2] == int64(0) {
		return s, nil
	}
	return t.parseSeen(id, s, parts)
}

// parseSeen reads the hash of a trip that look.lua returns, with what else was seen.
func (t *tags) parseSeen(id correlator.ID, s sight, parts []any) (sight, error) {
	list, isHash := parts[2].([]any)
	if !isHash {
		return sight{}, errWire
	}
	fields, err := parseFields(list)
	if err != nil {
		return sight{}, err
	}
	rec, err := t.parseRecord(id, fields)
	if err != nil || s.state == released && !t.marked(kindReleased, id, fields[releasedField]) {
		return sight{}, nil // somebody else's: there is no record
	}
	for _, cb := range rec.Finals {
		if cb.Status.Final() {
			s.finals = append(s.finals, cb)
		}
	}
	s.known = len(s.finals) // and not what forged ones make of it: else a genuine one in the place of such would be no news
	return s, nil
}

// parseFields reads names and values of a hash.
func parseFields(list []any) (map[string]string, error) {
	fields := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		name, isName := list[i].(string)
		text, isText := list[i+1].(string)
		if !isName || !isText {
			return nil, errWire
		}
		fields[name] = text
	}
	return fields, nil
}
