package redis

import (
	"context"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
)

// inlineValue is the largest value that is announced as a whole, in bytes. A larger one is fetched by the home.
const inlineValue = 4 << 10

// inboxFor is how long an inbox is kept at most that nobody reads: that of a node which has ended.
const inboxFor = 30 * 24 * time.Hour

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
	repeated putting = 3 // it was stored before
)

// alike is what the callbacks of one script have in common.
type alike struct {
	home     correlator.NodeID
	when     rule
	announce bool
	small    bool
	report   bool
	marked   bool // their ids are
	outlasts bool // their records are kept until their ids expire
}

func alikeOf(w *write) alike {
	if w.report {
		return alike{home: w.id.Home(), announce: w.announce, report: true}
	}
	small := w.announce && valueSize(w.cb)-correlator.TagLen <= inlineValue
	return alike{home: w.id.Home(), when: w.when, announce: w.announce, small: small, marked: w.id.Marked(), outlasts: w.id.Outlasts()}
}

// putAll stores callbacks, of which the first has waited for the longest, and says to each what became of it. What stands in the way of one
// and is forged is removed, and that one stored once more.
func (s *store) putAll(ctx context.Context, batch []*write) {
	ctx, cancel := context.WithDeadline(ctx, batch[0].since.Add(s.timeout))
	defer cancel()
	again, misfits := s.putEach(ctx, batch)
	if len(again) == 0 {
		return
	}
	err := s.expelAll(ctx, misfits)
	if err == nil {
		again, _ = s.putEach(ctx, again)
		err = errForged
	}
	for _, w := range again { // somebody writes faster than we do, or Redis is away: the engine will repeat it
		w.err = err
	}
}

// putEach stores callbacks once. It gives those for which something stood in the way that is not ours, and that.
func (s *store) putEach(ctx context.Context, batch []*write) (again []*write, misfits []misfit) {
	groups := make(map[alike][]*write, 1)
	for _, w := range batch {
		a := alikeOf(w)
		groups[a] = append(groups[a], w)
	}
	calls, members := make([]call, 0, len(groups)), make([][]*write, 0, len(groups))
	for a, writes := range groups {
		c := s.delivering
		if a.report {
			c = func(a alike, writes []*write) call { return s.reporting(a, writes, correlator.KeptEvents) }
		}
		calls, members = append(calls, c(a, writes)), append(members, writes)
	}
	for i, reply := range s.together(ctx, calls) {
		for w, m := range s.parsePuts(members[i], reply) {
			again, misfits = append(again, w), append(misfits, m)
		}
	}
	return again, misfits
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
	keeps := s.keepComplete(a.marked, a.outlasts)
	n := len(writes)
	keys, args := make([]string, 3+2*n), make([]any, 6+3*n)
	keys[0], keys[1], keys[2] = s.inbox(a.home), s.alive(a.home), s.channel(a.home)
	trip, watchers, longest := s.key(a.home, "trip:"), s.key(a.home, "watch:"), int64(0)
	for i, w := range writes {
		e := entry{id: w.id, op: w.cb.Op}.String()
		keys[3+i], keys[3+n+i] = trip+e[:nameLen], watchers+e[:nameLen]
		args[6+2*i] = e
		if a.small {
			args[7+2*i] = s.tags.appendFrame(make([]byte, 0, max(frameLeast, valueSize(w.cb)+8)), w.id, w.cb)
		} else {
			args[7+2*i] = s.tags.value(w.id, w.cb)
		}
		good := life(w.id)
		args[6+2*n+i], longest = good, max(longest, good)
	}
	args[0], args[1], args[2], args[3], args[4], args[5] = string(a.when), keeps, publish, size, hintMark+a.home.String(), min(longest, inboxFor.Milliseconds())
	return call{s.deliver, keys, args}
}

// parsePuts reads what deliver.lua returns, and says to each callback what became of it. It gives what stood in the way and is not ours.
func (s *store) parsePuts(writes []*write, reply *goredis.Cmd) (misfits map[*write]misfit) {
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
			m, forged := s.parsePut(w, each[i])
			if forged {
				if misfits == nil {
					misfits = make(map[*write]misfit)
				}
				misfits[w] = m
			}
		}
	}
	return misfits
}

// parsePut reads what is returned of one callback: what became of it, or what is there instead.
func (s *store) parsePut(w *write, reply any) (m misfit, forged bool) {
	if w.report {
		return s.parseReported(w, reply)
	}
	switch r := reply.(type) {
	case int64:
		switch w.result = putting(r); w.result {
		case notKept, kept, notAlive:
		case repeated:
			w.result, w.standing = kept, &w.cb
		default:
			w.result, w.err = notKept, errWire
		}
	case []any:
		return s.parseInstead(w, r)
	default:
		w.err = errWire
	}
	return misfit{}, false
}

// parseInstead reads what a script has found instead of what was to be stored: where, and the text.
func (s *store) parseInstead(w *write, r []any) (m misfit, forged bool) {
	if len(r) == 2 {
		where, isWhere := r[0].(string)
		text, isText := r[1].(string)
		if isWhere && isText {
			return s.parseStanding(w, where, text)
		}
	}
	w.err = errWire
	return misfit{}, false
}

// parseStanding says what became of a callback for which there was something already, or that this is not ours.
func (s *store) parseStanding(w *write, where, text string) (m misfit, forged bool) {
	e := entry{id: w.id, op: w.cb.Op}
	switch where {
	case "gone":
		w.result = notKept
		return misfit{s.trip(w.id), goneField, text}, !s.tags.marked(kindGone, w.id, text)
	case "inbox":
		w.result = kept
		cb, rest, err := s.tags.parseFrame(e, text)
		if err == nil && rest == "" {
			w.standing = &cb
		}
		return misfit{s.inbox(w.id.Home()), e.String(), text}, err != nil || rest != ""
	case "trip":
		w.result = kept
		cb, err := s.tags.parseValue(e, text)
		if err == nil {
			w.standing = &cb
		}
		return misfit{s.trip(w.id), strconv.Itoa(e.op), text}, err != nil
	default:
		w.err = errWire
		return misfit{}, false
	}
}
