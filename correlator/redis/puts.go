package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
)

// inlineValue is the largest value that is announced as a whole, in bytes. A larger one is fetched by the home.
const inlineValue = 4 << 10

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
	small    bool
}

func alikeOf(w *write) alike {
	return alike{w.id.Home(), w.when, w.announce, w.announce && 1+len(w.cb.Body) <= inlineValue}
}

// putAll stores callbacks, of which the first has waited for the longest, and says to each what became of it.
func (s *store) putAll(ctx context.Context, batch []*write) {
	groups := make(map[alike][]*write, 1)
	for _, w := range batch {
		a := alikeOf(w)
		groups[a] = append(groups[a], w)
	}
	calls, members := make([]call, 0, len(groups)), make([][]*write, 0, len(groups))
	for a, writes := range groups {
		calls, members = append(calls, s.delivering(a, writes)), append(members, writes)
	}
	ctx, cancel := context.WithDeadline(ctx, batch[0].since.Add(s.timeout))
	defer cancel()
	for i, reply := range s.together(ctx, calls) {
		parsePuts(members[i], reply)
	}
}

// delivering is the script that stores callbacks of one home.
func (s *store) delivering(a alike, writes []*write) call {
	publish, size := "", "large"
	if a.announce {
		publish = s.publishCommand()
	}
	if a.small {
		size = "small"
	}
	n := len(writes)
	keys, args := make([]string, 3+2*n), make([]any, 6+3*n)
	keys[0], keys[1], keys[2] = s.inbox(a.home), s.alive(a.home), s.channel(a.home)
	trip, watchers, longest := s.key(a.home, "trip:"), s.key(a.home, "watch:"), int64(0)
	for i, w := range writes {
		e := entry{id: w.id, op: w.cb.Op}.String()
		keys[3+i], keys[3+n+i] = trip+e[:nameLen], watchers+e[:nameLen]
		args[6+2*i] = e
		if a.small {
			args[7+2*i] = appendFrame(make([]byte, 0, max(frameLeast, len(w.cb.Body)+8)), w.cb)
		} else {
			args[7+2*i] = value(w.cb)
		}
		good := life(w.id)
		args[6+2*n+i], longest = good, max(longest, good)
	}
	args[0], args[1], args[2], args[3], args[4], args[5] = string(a.when), s.retention.Milliseconds(), publish, size, hintMark+a.home.String(), longest
	return call{s.deliver, keys, args}
}

// parsePuts reads what deliver.lua returns, and says to each callback what became of it.
func parsePuts(writes []*write, reply *goredis.Cmd) {
	stored, err := reply.Result()
	all, isNumber := stored.(int64)
	each, isList := stored.([]any)
	if err == nil && (!isNumber || all != int64(len(writes))) && (!isList || len(each) != len(writes)) {
		err = errWire
	}
	for i, w := range writes {
		switch {
		case err != nil:
			w.err = err
		case isNumber:
			w.result = kept
		default:
			w.result, w.earlier, w.err = parsePut(w.cb.Op, each[i])
		}
	}
}

// parsePut reads what is returned of one callback: what became of it, or the earlier one that is stored.
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
