package gateway_test

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/internal/promises"
)

// sight is one request and what came of it, as its client saw it.
type sight struct {
	what         string // create, get
	node         int
	ask          *ask   // of a create
	path         string // of a get
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

func isOpen(op promises.OpReply) bool { return op.Proc == "pending" || unfinished(op.Description) }

// view reads a reply. One that is not JSON has no ops.
func (x *sight) view() promises.Reply {
	r, err := promises.ReadReply(x.body)
	if err != nil {
		return promises.Reply{}
	}
	return r
}

// isOpen reports whether ops of a reply may still get a result.
func (x *sight) isOpen() bool { return slices.ContainsFunc(x.view().Ops, isOpen) }

// open reports whether op i of a reply may.
func (x *sight) open(i int) bool {
	ops := x.view().Ops
	return i < len(ops) && isOpen(ops[i])
}

func unfinished(description string) bool {
	return slices.Contains([]string{"Timeout for create task", "Bad gateway", "Shutting down"}, description)
}

// tally counts what was tried, over all rounds.
type tally struct {
	mu     sync.Mutex
	counts map[string]int64
	trips  atomic.Int64 // creates
}

func newTally() *tally { return &tally{counts: make(map[string]int64)} }

func (t *tally) add(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[what] += int64(n)
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprint(t.trips.Load(), " trips: ", t.counts)
}

// hearing is how soon whoever waits hears what was acknowledged, whatever has happened to Redis: what is promised, and
// the longest fault before it.
const hearing = 5 * time.Second

// recovery is how long the judge asks again while a node answers 503. On a busy machine Redis is slow long after its last fault.
const recovery = time.Minute

// oracle knows what both sides have seen of a round and what that may be.
type oracle struct {
	*game
	stories []*story
	tasks   promises.Evidence
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
	if err := o.engine.Settle(ctx); err != nil { // of tasks that only the questions of the judge have made
		t.Errorf("the engine repeats callbacks that nobody takes: %v", err)
	}
	for _, s := range o.stories {
		if location := s.location(); location != "" && s.never {
			s.get(location, 0, 0)
		}
	}
	o.note()
	for _, s := range o.stories {
		for _, wrong := range o.wrongs(s) {
			t.Errorf("round %d: %s\n%s", o.round, wrong, o.tell(s))
		}
		o.count(s)
	}
}

func (o *oracle) note() { o.tasks = promises.Gather(o.engine.Tasks()) }

// story asks for what a client could ask for now.
func (o *oracle) story(s *story) {
	if locations := s.locations(); len(locations) > 0 {
		for _, location := range locations {
			s.getPatiently(location, 0)
			s.getPatiently(location, 1)
		}
	} else if task := o.taskOf(s); task != "" { // what nobody was told, but is kept all the same
		s.getPatiently(task, 0)
	}
	patience := 10 * time.Second
	if s.never {
		patience = 100 * time.Millisecond
	}
	for began, open := time.Now(), 0; s.key != "" && time.Since(began) < recovery; {
		x := s.create(&ask{patience: patience, other: s.otherWon()})
		if x.isOpen() { // the judge's own task, perhaps, and the engine's answer to it was none
			open++
		}
		if !x.again() && (!x.isOpen() || s.never) || open == 3 {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

// getPatiently fetches a result as a client does that does what Retry-After says: Redis may still be slow.
func (s *story) getPatiently(location string, node int) {
	for began := time.Now(); s.get(location, node, 0).status == 503 && time.Since(began) < recovery; {
		<-time.After(100 * time.Millisecond)
	}
}

// locations are all that clients of the story have seen.
func (s *story) locations() (all []string) {
	for _, x := range s.seen {
		if x.location != "" && !slices.Contains(all, x.location) {
			all = append(all, x.location)
		}
	}
	return all
}

// location is the last one that a client of the story has seen.
func (s *story) location() string {
	for _, x := range slices.Backward(s.seen) {
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
	if id, made := o.tripOf(s); made {
		return "/api/1/tasks/" + string(o.keys.AppendTaskID(nil, id))
	}
	return ""
}

// tripOf gives the trip that has made tasks for a story without a key.
func (o *oracle) tripOf(s *story) (id correlator.ID, made bool) {
	for i := range s.ops {
		for _, task := range o.tasks[s.ref(i)] {
			u, err := url.Parse(task.URL)
			if err != nil {
				continue
			}
			if token, err := o.keys.ParseToken([]byte(path.Base(u.Path))); err == nil {
				return token.Trip, true
			}
		}
	}
	return id, false
}

// unkept reports whether a node has said that it could not keep what the client of a story without a key may ask for.
func (o *oracle) unkept(s *story) bool {
	id, _ := o.tripOf(s)
	return slices.ContainsFunc(o.members[:], func(m *member) bool {
		return strings.Contains(m.log.String(), fmt.Sprintf(`"trip":%q,"message":"a result cannot be kept`, id))
	})
}

func (s *story) ref(i int) string { return fmt.Sprintf("%s-%d", s.nonce, i) }

// count notes what was tried.
func (o *oracle) count(s *story) {
	for _, x := range s.seen {
		if x.what == "create" {
			o.tally.trips.Add(1)
		}
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
		for _, task := range slices.Concat(o.tasks[s.ref(i)], o.tasks[s.ref(i)+"-other"]) {
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
