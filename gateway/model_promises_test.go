package gateway_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"syncgate/internal/promises"
)

// op gives what the engine has seen of op i, whichever body asked for it.
func (o *oracle) op(s *story, i int) promises.Op { return o.tasks.Op(s.ref(i), s.ref(i)+"-other") }

// wrongs lists the promises that were broken.
func (o *oracle) wrongs(s *story) (wrong []string) {
	add := func(what string, problem string) {
		if problem != "" {
			wrong = append(wrong, what+": "+problem)
		}
	}
	for _, x := range s.seen {
		add(x.what+" "+x.id, o.sight(s, x))
	}
	finals, whole := o.finals(s)
	if len(whole) > 1 {
		add("the story", fmt.Sprintf("different complete replies: %v", slices.Collect(maps.Keys(whole))))
	}
	if last := s.seen[len(s.seen)-1]; s.key != "" && !s.never && (last.isOpen() || last.again()) {
		add("the story", "the key gives no result however often it is asked with")
	}
	for i := range s.ops {
		a := o.op(s, i)
		for _, problem := range []string{a.Doubled(), o.same(a, finals[i]), o.told(s, i, a), o.kept(s, i, a)} {
			add(fmt.Sprintf("op %d", i), problem)
		}
	}
	return wrong
}

// sight says what is wrong with one reply by itself.
func (o *oracle) sight(s *story, x *sight) string {
	if x.err != nil || x.status == 0 {
		return o.broken(s, x)
	}
	if x.echo != x.id {
		return "it is the reply to " + x.echo
	}
	v := x.view()
	switch {
	case x.status == 503 && !x.retry && x.location == "" && (o.calm || v.Proc != "ok"): // nothing can be kept without Redis
		return "503 without Retry-After or Location"
	case x.status == 422 && s.key != "", x.status == 410 && x.what == "get":
		return ""
	case x.status != 200 && x.status != 202 && x.status != 502 && x.status != 503:
		return fmt.Sprintf("status %d", x.status)
	case v.Proc != "ok":
		if s.ack != "format_error" && x.status < 500 {
			return "an error that nobody made"
		}
		return ""
	case len(v.Ops) != len(s.ops):
		return fmt.Sprintf("%d ops", len(v.Ops))
	}
	for i, op := range v.Ops {
		if problem := s.judge(x, i, op); problem != "" {
			return fmt.Sprintf("op %d: %s", i, problem)
		}
	}
	return ""
}

// judge says what is wrong with one op of a reply.
func (s *story) judge(x *sight, i int, op promises.OpReply) string {
	switch {
	case op.IsResult():
		if wrong := op.Mistaken(s.ref(i)); wrong != "" {
			return wrong
		}
	case op.Proc == "pending" && x.status == 202:
	case op.Proc == "not_unical_ref" && s.ack == op.Proc:
		return ""
	case op.Proc != "error" || !unfinished(op.Description):
		return fmt.Sprintf("proc %q, description %q", op.Proc, op.Description)
	case op.Description == "Timeout for create task":
		if early := x.began.Add(x.ask.patience).Sub(x.ended); early > time.Millisecond {
			return fmt.Sprintf("timed out %v early", early)
		}
	case op.Description == "Shutting down" && !x.leaving:
		return op.Description
	}
	want := []string{s.ref(i), s.ref(i) + "-other"} // whichever body the key was bound to when its client was told where to look
	if x.ask != nil && x.ask.other {
		want = want[1:]
	} else if x.ask != nil {
		want = want[:1]
	}
	if !slices.Contains(want, op.Ref) {
		return fmt.Sprintf("ref %q, want %q", op.Ref, want)
	}
	return ""
}

// broken says what is wrong with a request without a reply.
func (o *oracle) broken(s *story, x *sight) string {
	gone := errors.Is(x.err, io.EOF) || errors.Is(x.err, io.ErrUnexpectedEOF) || errors.Is(x.err, syscall.ECONNRESET) || errors.Is(x.err, syscall.EPIPE)
	switch {
	case !x.hungUp.IsZero() && !x.ended.Before(x.hungUp):
		return "" // its own doing
	case x.leaving && errors.Is(x.err, syscall.ECONNREFUSED):
		return ""
	case x.leaving && gone && (s.key != "" || x.what == "get" || len(o.tasks[s.ref(0)]) == 0):
		return "" // its connection was taken and never read, or is the heir's
	default:
		return fmt.Sprintf("no reply: %v", x.err)
	}
}

// finals gives the results that clients have read of each op, and the complete replies. While Redis is away a client may
// read from the home node what the engine is not told that it is kept: if the engine then sends another result, that is
// what is acknowledged, and stands. So only what was asked for later counts here, and everything in calm.
func (o *oracle) finals(s *story) (finals []map[string]bool, whole map[string]bool) {
	finals, whole = make([]map[string]bool, len(s.ops)), make(map[string]bool)
	settled := make([]time.Time, len(s.ops))
	for i := range s.ops {
		finals[i], settled[i] = make(map[string]bool), o.op(s, i).Acknowledged
	}
	for _, x := range s.seen {
		v := x.view()
		if x.err != nil || v.Proc != "ok" || len(v.Ops) != len(s.ops) {
			continue
		}
		early := false
		for i, op := range v.Ops {
			switch {
			case op.Proc != "ok":
			case o.calm || !settled[i].IsZero() && x.began.After(settled[i]):
				finals[i][string(op.Data)] = true
			default:
				early = true
			}
		}
		if x.status == 200 && !x.isOpen() && !early {
			whole[string(x.body)] = true
		}
	}
	return finals, whole
}

// same: a final is the same bytes wherever it is seen, and none that was sent after another had been acknowledged, unless
// the home could not hear of that one.
func (o *oracle) same(a promises.Op, finals map[string]bool) string {
	if len(finals) > 1 {
		return fmt.Sprintf("it has different finals: %v", slices.Collect(maps.Keys(finals)))
	}
	for final := range finals {
		sent := time.Time{} // when the one that stands was, for the first time
		for _, h := range a.Answers {
			if strings.Contains(final, fmt.Sprintf(`"n":"%d"`, h.N)) && (sent.IsZero() || h.Sent.Before(sent)) {
				sent = h.Sent
			}
		}
		if sent.IsZero() {
			return "its final was never sent: " + final
		}
		if o.calm && a.IsAcknowledged() && a.Acknowledged.Before(sent) {
			return "the first acknowledged one does not stand"
		}
	}
	return ""
}

// told: who waits long enough hears what was acknowledged, soon. A client that joined a claim which was undone, as Redis was away when
// it was made, waits for another trip: it may ask again when its Location turns 410.
func (o *oracle) told(s *story, i int, a promises.Op) string {
	for _, x := range s.seen {
		late := x.ended.Sub(a.Acknowledged)
		if a.IsAcknowledged() && late > hearing && x.ended.Sub(x.began) > hearing && x.open(i) && !s.wasUndone(x.location) {
			return fmt.Sprintf("it was acknowledged %v before %s was told that it is open", late, x.id)
		}
	}
	return ""
}

// wasUndone reports whether a trip has turned out to have made no task.
func (s *story) wasUndone(location string) bool {
	return slices.ContainsFunc(s.seen, func(x *sight) bool { return x.path == location && x.what == "get" && x.status == 410 })
}

// kept: what was acknowledged can be read, and what can be asked for is not given up.
func (o *oracle) kept(s *story, i int, a promises.Op) string {
	named := s.key != "" || s.location() != "" // the client can ask for it
	switch {
	case s.hasRead(i):
	case named:
		return a.Lost()
	case a.IsAcknowledged() && o.calm && !o.drains && !s.hungUpAfter(a.Sent.Add(-50*time.Millisecond)) && !o.unkept(s):
		return "it was acknowledged and is not kept"
	}
	return ""
}

func (s *story) hasRead(i int) bool {
	return slices.ContainsFunc(s.seen, func(x *sight) bool {
		v := x.view()
		return x.err == nil && v.Proc == "ok" && i < len(v.Ops) && v.Ops[i].Proc == "ok"
	})
}

// hungUpAfter reports whether a client may have left after t: then it may have had the reply, unread.
func (s *story) hungUpAfter(t time.Time) bool {
	return slices.ContainsFunc(s.seen, func(x *sight) bool { return x.hungUp.After(t) })
}
