package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/enginesim"
)

// sight is one request and what came of it, as its client saw it.
type sight struct {
	what         string // create, get
	node         int
	ask          *ask // of a create
	id           string
	began, ended time.Time
	hungUp       time.Time // when it has hung up, or was about to
	leaving      bool      // the node was about to leave before it ended

	status         int // 0: no reply
	body           []byte
	location, echo string
	retry          bool // it may try again
	err            error
}

// again reports whether a client with a key would try again: it has no reply, or was refused for now.
func (x *sight) again() bool {
	return x.status == 0 || x.location == "" && (x.status == 502 || x.status == 503)
}

// view is a reply as it is read.
type view struct {
	Proc string `json:"request_proc"`
	Ops  []struct {
		Proc, Ref, Description string
		Data                   json.RawMessage
	}
}

func (x *sight) view() (v view) {
	_ = json.Unmarshal(x.body, &v) // what is not JSON has no ops
	return v
}

// isOpen reports whether ops of a reply may still get a result.
func (x *sight) isOpen() bool {
	for _, op := range x.view().Ops {
		if op.Proc == "pending" || unfinished(op.Description) {
			return true
		}
	}
	return false
}

func unfinished(description string) bool {
	return slices.Contains([]string{"Timeout for create task", "Bad gateway", "Shutting down"}, description)
}

// tally counts what was tried, over all rounds.
type tally struct {
	mu     sync.Mutex
	counts map[string]int64
	asked  atomic.Int64
}

func newTally() *tally { return &tally{counts: make(map[string]int64)} }

func (t *tally) requests() int64 { return t.asked.Load() }

func (t *tally) add(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[what] += int64(n)
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprint(t.requests(), " requests: ", t.counts)
}

// hearing is how soon whoever waits hears what was acknowledged, whatever has happened to Redis: what is promised, and
// the longest fault before it.
const hearing = 5 * time.Second

// oracle knows what both sides have seen of a round and what that may be.
type oracle struct {
	*game
	stories []*story
	tasks   map[string][]enginesim.Task // by ref
}

func newOracle(g *game, stories []*story) *oracle { return &oracle{game: g, stories: stories} }

// judge compares every story with the promises, after the engine has said all that it has to say.
func (o *oracle) judge(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := o.engine.Settle(ctx); err != nil {
		t.Errorf("the engine repeats callbacks that nobody takes: %v", err)
	}
	o.note()
	var all sync.WaitGroup
	for part := range slices.Chunk(o.stories, len(o.stories)/16+1) {
		all.Go(func() {
			for _, s := range part {
				o.story(s)
			}
		})
	}
	all.Wait()
	o.note() // tasks that only the questions of the judge have made
	for _, s := range o.stories {
		for _, wrong := range o.wrongs(s) {
			t.Errorf("round %d: %s\n%s", o.round, wrong, o.tell(s))
			if t.Failed() && testing.Verbose() {
				break
			}
		}
		o.count(s)
	}
}

func (o *oracle) note() {
	o.tasks = make(map[string][]enginesim.Task)
	for _, task := range o.engine.Tasks() {
		ref := strings.Trim(task.Ref, `"`)
		o.tasks[ref] = append(o.tasks[ref], task)
	}
}

// story asks for what a client could ask for now.
func (o *oracle) story(s *story) {
	if location := s.location(); location != "" {
		s.get(location, 0, 0)
		s.get(location, 1, 0)
	} else if task := o.taskOf(s); task != "" { // what nobody was told, but is kept all the same
		s.get(task, 0, 0)
	}
	if s.key != "" && !s.otherWon() {
		for range 100 {
			patience := 10 * time.Second
			if s.never {
				patience = 100 * time.Millisecond
			}
			if x := s.create(&ask{node: 0, patience: patience}); !x.again() {
				break
			}
			<-time.After(50 * time.Millisecond)
		}
	}
}

// location is where a client of the story was told to look.
func (s *story) location() string {
	for _, x := range s.seen {
		if x.location != "" {
			return x.location
		}
	}
	return ""
}

// otherWon reports whether the key is bound to the other body.
func (s *story) otherWon() bool {
	return slices.ContainsFunc(s.seen, func(x *sight) bool { return x.status == 422 && !x.ask.other })
}

// taskOf gives the path under which the result of a story without a key is kept, if it is.
func (o *oracle) taskOf(s *story) string {
	for i := range s.ops {
		for _, task := range o.tasks[s.ref(i)] {
			u, err := url.Parse(task.URL)
			if err != nil {
				continue
			}
			if id, _, err := o.keys.ParseToken([]byte(path.Base(u.Path))); err == nil {
				return "/api/1/tasks/" + string(o.keys.AppendTaskID(nil, id))
			}
		}
	}
	return ""
}

func (s *story) ref(i int) string { return fmt.Sprintf("%s-%d", s.nonce, i) }

// wrongs lists the promises that were broken.
func (o *oracle) wrongs(s *story) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, x := range s.seen {
		if problem := o.sight(s, x); problem != "" {
			say("%s %s: %s", x.what, x.id, problem)
		}
	}
	o.once(s, say)
	o.same(s, say)
	if last := s.seen[len(s.seen)-1]; s.key != "" && !s.never && !s.otherWon() && (last.isOpen() || last.again()) {
		say("the key gives no result however often it is asked with")
	}
	for i := range s.ops {
		o.told(s, i, say)
		o.kept(s, i, say)
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
		if problem := o.op(s, x, i, op.Proc, op.Ref, op.Description, op.Data); problem != "" {
			return fmt.Sprintf("op %d: %s", i, problem)
		}
	}
	return ""
}

func (o *oracle) op(s *story, x *sight, i int, proc, ref, description string, data []byte) string {
	other := x.ask != nil && x.ask.other || s.otherWon()
	switch {
	case proc == "ok":
		var result struct{ Nonce, N string }
		if err := json.Unmarshal(data, &result); err != nil || result.Nonce != s.ref(i) {
			return fmt.Sprintf("somebody else's result %s", data)
		}
	case proc == "pending" && x.status == 202:
	case proc == "not_unical_ref" && s.ack == proc:
		return ""
	case proc != "error" || !unfinished(description):
		return fmt.Sprintf("proc %q, description %q", proc, description)
	case description == "Timeout for create task":
		if early := x.began.Add(x.ask.patience).Sub(x.ended); early > time.Millisecond {
			return fmt.Sprintf("timed out %v early", early)
		}
	case description == "Shutting down" && !x.leaving:
		return description
	}
	if want := s.ref(i); ref != want && !(other && ref == want+"-other") && proc != "pending" {
		return fmt.Sprintf("ref %q", ref)
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

// once: no op has two tasks, whoever has asked for it how often.
func (o *oracle) once(s *story, say func(string, ...any)) {
	for i := range s.ops {
		if n := len(o.tasksOf(s, i)); n > 1 {
			say("op %d has %d tasks", i, n)
		}
	}
}

// same: every final of an op is the same bytes wherever it is seen, and so is every complete reply. While Redis is away a
// client may read a final from the home node that nobody could be told of: if the engine then sends another one, that is
// what is acknowledged and stands. It counts, and it must not happen while Redis is well.
func (o *oracle) same(s *story, say func(string, ...any)) {
	finals := make([]map[string]bool, len(s.ops))
	whole := make(map[string]bool)
	for _, x := range s.seen {
		v := x.view()
		if x.err != nil || v.Proc != "ok" || len(v.Ops) != len(s.ops) {
			continue
		}
		early := false
		for i, op := range v.Ops {
			if op.Proc != "ok" {
				continue
			}
			if !o.calm && x.began.Before(o.acknowledged(s, i)) {
				early = true
				continue
			}
			if finals[i] == nil {
				finals[i] = make(map[string]bool)
			}
			finals[i][string(op.Data)] = true
		}
		if x.status == 200 && !x.isOpen() && !early {
			whole[string(x.body)] = true
		}
	}
	if len(whole) > 1 {
		say("different complete replies: %v", slices.Collect(maps.Keys(whole)))
	}
	for i, seen := range finals {
		if len(seen) > 1 {
			say("op %d has different finals: %v", i, slices.Collect(maps.Keys(seen)))
		}
		for final := range seen {
			o.first(s, i, final, say)
		}
	}
}

// acknowledged is when the engine first heard 200 for an op; far away if it has not.
func (o *oracle) acknowledged(s *story, i int) time.Time {
	first := time.Now().Add(time.Hour)
	for _, task := range o.tasksOf(s, i) {
		for _, a := range task.Heard {
			if a.Status == 200 && a.At.Before(first) {
				first = a.At
			}
		}
	}
	return first
}

// first: a final is none that was sent after another had been acknowledged.
func (o *oracle) first(s *story, i int, final string, say func(string, ...any)) {
	for _, task := range o.tasksOf(s, i) {
		stands := time.Time{} // when the one that stands was first sent
		for _, a := range task.Heard {
			if strings.Contains(final, fmt.Sprintf(`"n":"%d"`, a.N)) && (stands.IsZero() || a.Sent.Before(stands)) {
				stands = a.Sent
			}
		}
		if stands.IsZero() {
			say("op %d has a final that was never sent: %s", i, final)
		}
		for _, a := range task.Heard {
			if a.Status == 200 && a.At.Before(stands) {
				say("op %d: the first acknowledged one does not stand", i)
			}
		}
	}
}

// told: who waits long enough hears what was acknowledged, soon.
func (o *oracle) told(s *story, i int, say func(string, ...any)) {
	for _, x := range s.seen {
		if v := x.view(); x.err != nil || i >= len(v.Ops) || !unfinished(v.Ops[i].Description) && v.Ops[i].Proc != "pending" {
			continue
		}
		for _, task := range o.tasksOf(s, i) {
			for _, a := range task.Heard {
				if late := x.ended.Sub(a.At); a.Status == 200 && late > hearing && x.began.Before(x.ended.Add(-hearing)) {
					say("op %d was acknowledged %v before %s was told that it is open", i, late, x.id)
				}
			}
		}
	}
}

func (o *oracle) tasksOf(s *story, i int) []enginesim.Task {
	return slices.Concat(o.tasks[s.ref(i)], o.tasks[s.ref(i)+"-other"])
}

// kept: what was acknowledged can be read, and who waits for what will come is not told that it is gone.
func (o *oracle) kept(s *story, i int, say func(string, ...any)) {
	acknowledged, refused := false, false
	sent := time.Time{}
	for _, task := range o.tasksOf(s, i) {
		for _, a := range task.Heard {
			acknowledged = acknowledged || a.Status == 200
			refused = refused || a.Status == 410 || a.Status == 404
			if sent.IsZero() || a.Sent.Before(sent) {
				sent = a.Sent
			}
		}
	}
	read := slices.ContainsFunc(s.seen, func(x *sight) bool {
		v := x.view()
		return x.err == nil && v.Proc == "ok" && i < len(v.Ops) && v.Ops[i].Proc == "ok"
	})
	named := s.location() != "" || s.key != "" && !s.otherWon() // the client can ask for it
	switch {
	case read:
	case acknowledged && named:
		say("op %d was acknowledged and cannot be read", i)
	case acknowledged && o.calm && !o.drains && !s.hungUpAfter(sent.Add(-50*time.Millisecond)):
		say("op %d was acknowledged and is not kept", i)
	case refused && named:
		say("op %d was refused for good though its client can ask for it", i)
	}
}

// hungUpAfter reports whether a client may have left after t: then it may have had the reply, unread.
func (s *story) hungUpAfter(t time.Time) bool {
	return slices.ContainsFunc(s.seen, func(x *sight) bool { return x.hungUp.After(t) })
}

// count notes what was tried.
func (o *oracle) count(s *story) {
	o.tally.asked.Add(int64(len(s.seen)))
	for _, x := range s.seen {
		switch {
		case x.status == 0:
			o.tally.add("no reply", 1)
		case x.status == 200 && x.isOpen():
			o.tally.add("timed out", 1)
		default:
			o.tally.add(fmt.Sprintf("%s %d", x.what, x.status), 1)
		}
	}
	for i := range s.ops {
		for _, task := range o.tasks[s.ref(i)] {
			o.tally.add("callbacks", len(task.Heard))
		}
	}
}

// home says where the trip was parked whose result clients were told to look for.
func (o *oracle) home(s *story) string {
	id, err := o.keys.ParseTaskID([]byte(path.Base(s.location())))
	if err != nil {
		return "unknown"
	}
	for i, m := range o.members {
		if m.table.Node() == id.Home() {
			return fmt.Sprintf("node %d, left: %v", i, m.left)
		}
	}
	return "another round's"
}

// tell gives all that is known of a story.
func (o *oracle) tell(s *story) string {
	var b strings.Builder
	at := func(t time.Time) string { return t.Format("05.000") }
	fmt.Fprintf(&b, "story %s, key %q, ack %s, home %s\n", s.nonce, s.key, s.ack, o.home(s))
	for i, sim := range s.ops {
		fmt.Fprintf(&b, "  op %d: %s\n", i, sim)
		for _, task := range o.tasksOf(s, i) {
			fmt.Fprintf(&b, "    task %s %.20s\n", task.Ref, path.Base(task.URL))
			failed := 0
			for _, a := range task.Heard {
				if failed++; a.Status != 0 && a.Status != 503 || failed < 5 {
					fmt.Fprintf(&b, "      callback %d: %s to %s: %d %v\n", a.N, at(a.Sent), at(a.At), a.Status, a.Err)
				}
			}
		}
	}
	for _, x := range s.seen {
		fmt.Fprintf(&b, "  %s to %s: %s at node %d (%s), hangs up %s: %d %s %.30s %v\n", at(x.began), at(x.ended), x.what, x.node, x.id, at(x.hungUp), x.status, x.body, x.location, x.err)
	}
	return b.String()
}
