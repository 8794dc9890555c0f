package redis

import (
	"context"

	"syncgate/correlator"
)

const (
	// inlineValue is the largest value that is announced as a whole. A larger one is fetched by the home.
	inlineValue = 4 << 10
	// messageBytes is when a message that announces callbacks is long enough.
	messageBytes = 64 << 10
)

// rule says when a callback, or a record, is stored.
type rule string

const (
	always     rule = "always"
	ifRecorded rule = "record"
	ifAlive    rule = "alive" // or recorded
)

// putting is what became of a callback that was to be stored.
type putting int

// As the script returns them.
const (
	notKept  putting = 0 // nothing is kept for its trip
	kept     putting = 1 // it is stored, now or before
	notAlive putting = 2 // its home does not live
	foreign  putting = 3 // what is stored under the name of its trip is not ours
)

// alike is what the callbacks of one script have in common.
type alike struct {
	home     correlator.NodeID
	when     rule
	announce bool
}

// putAll stores callbacks, and says to each what became of it.
func (s *store) putAll(ctx context.Context, batch []*write) {
	groups := make(map[alike][]*write, 1)
	for _, w := range batch {
		a := alike{w.id.Home(), w.when, w.announce}
		groups[a] = append(groups[a], w)
	}
	calls, members := make([]call, 0, len(groups)), make([][]*write, 0, len(groups))
	for a, writes := range groups {
		calls, members = append(calls, s.delivering(a, writes)), append(members, writes)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for i, reply := range s.together(ctx, calls) {
		results, err := reply.Slice()
		if err == nil && len(results) != len(members[i]) {
			err = errWire
		}
		for n, w := range members[i] {
			if w.err = err; err == nil {
				w.result, w.earlier, w.err = parsePut(w.cb.Op, results[n])
			}
		}
	}
}

// delivering is the script that stores callbacks of one home.
func (s *store) delivering(a alike, writes []*write) call {
	publish := ""
	if a.announce {
		publish = s.publishCommand()
	}
	keys := append(make([]string, 0, 3+2*len(writes)), s.inbox(a.home), s.alive(a.home), s.channel(a.home))
	args := append(make([]any, 0, 6+3*len(writes)),
		string(a.when), s.retention.Milliseconds(), publish, inlineValue, messageBytes, hintMark+a.home.String())
	trip, watchers := s.key(a.home, "trip:"), s.key(a.home, "watch:")
	for _, w := range writes {
		e := entry{id: w.id, op: w.cb.Op}.String()
		keys = append(keys, trip+e[:nameLen], watchers+e[:nameLen])
		args = append(args, e, value(w.cb), life(w.id))
	}
	return call{s.deliver, keys, args}
}

// parsePut reads what deliver.lua returns of one callback: what became of it, or the earlier one that is stored.
func parsePut(op int, reply any) (result putting, earlier *correlator.Callback, err error) {
	switch r := reply.(type) {
	case int64:
		result = putting(r)
		if result < notKept || result >= foreign {
			return notKept, nil, errWire
		}
		return result, nil, nil
	case string:
		cb, err := parseValue(op, r)
		return kept, &cb, err
	default:
		return notKept, nil, errWire
	}
}
