package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Buckets are the upper bounds of the buckets of Durations, in seconds.
func Buckets() []float64 { return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1} }

// Stats are what a Correlator counts since its start. Every label that there can be is in its map from the start.
type Stats struct {
	Commands   map[string]Durations // of commands, with the wait for a connection and retries, by kind of work
	Errors     map[string]uint64    // of commands, by kind
	Forged     map[string]uint64    // what was read without a good tag, by what it was to be
	Delivered  map[string]uint64    // callbacks that came to this node and were settled, by where their trip was
	Reconnects uint64               // subscriptions that have replaced another one
	Inbox      int                  // callbacks that the last reading of the inbox has found there
	Waiting    int                  // callbacks that wait to be stored
}

// Durations is a histogram.
type Durations struct {
	Count   uint64
	Sum     time.Duration
	Buckets []uint64 // how many took no longer than each of Buckets
}

// Kinds of work, by the script or the commands that do it.
const (
	workDeliver  = "deliver" // callbacks are stored and announced
	workClaim    = "claim"   // a key is bound, or freed
	workRecord   = "record"  // a record is stored, read or released
	workWatch    = "watch"   // trips are looked at that are waited for
	workInbox    = "inbox"   // the inbox is read, and what is in it fetched
	workName     = "name"    // a name of an op is bound, taken, finished or freed
	workClean    = "clean"   // what is settled is removed
	workProbe    = "probe"   // a probe is sent
	workOther    = "other"   // connections are set up, settings read, what is not ours removed
	errorTimeout = "timeout" // no answer in time
	errorPool    = "pool"    // no connection was free
	errorConnect = "connect" // no connection could be made, or it broke
	errorRefused = "refused" // an error reply of the server
	errorOther   = "other"   // the answer could not be understood
	whereHome    = "home"    // the trip was parked at the node that the callback came to
	whereRemote  = "remote"  // it was parked elsewhere, and the callback was handed on
	whereLate    = "late"    // the trip was over
)

// counts are what Stats are made of.
type counts struct {
	works      map[string]*durations // fixed
	errors     map[string]*atomic.Uint64
	delivered  map[string]*atomic.Uint64
	reconnects atomic.Uint64
	inbox      atomic.Int64
	scripts    map[string]string // the kind of work of each script, by its digest; fixed
}

type durations struct {
	sum     atomic.Int64
	buckets [12]atomic.Uint64 // the last is for those beyond all bounds
}

func newCounts() *counts {
	c := &counts{
		works: make(map[string]*durations), errors: make(map[string]*atomic.Uint64), delivered: make(map[string]*atomic.Uint64),
		scripts: make(map[string]string),
	}
	for _, w := range []string{workDeliver, workClaim, workRecord, workWatch, workInbox, workName, workClean, workProbe, workOther} {
		c.works[w] = new(durations)
	}
	for _, e := range []string{errorTimeout, errorPool, errorConnect, errorRefused, errorOther} {
		c.errors[e] = new(atomic.Uint64)
	}
	for _, w := range []string{whereHome, whereRemote, whereLate} {
		c.delivered[w] = new(atomic.Uint64)
	}
	return c
}

// watchScripts says which scripts do which work.
func (c *counts) watchScripts(s *store) {
	for work, scripts := range map[string][]*goredis.Script{
		workDeliver: {s.deliver, s.report}, workClaim: {s.claim, s.unbind}, workRecord: {s.save, s.release, s.prolong}, workWatch: {s.look}, workClean: {s.clean},
		workName: {s.names.bind, s.names.take, s.names.finish, s.names.unbind},
	} {
		for _, script := range scripts {
			c.scripts[script.Hash()] = work
		}
	}
}

// work is the kind of work of a command.
func (c *counts) work(cmd goredis.Cmder) string {
	args := cmd.Args()
	switch cmd.Name() {
	case "evalsha":
		if len(args) > 1 {
			if sha, is := args[1].(string); is && c.scripts[sha] != "" {
				return c.scripts[sha]
			}
		}
	case "hscan", "hget":
		return workInbox
	case "hgetall", "hmget", "unlink":
		return workRecord
	case "get":
		return workClaim
	case "set", "publish", "spublish":
		return workProbe
	}
	return workOther
}

// observe notes a command that has ended.
func (c *counts) observe(cmd goredis.Cmder, began time.Time, err error) {
	took, d := time.Since(began), c.works[c.work(cmd)]
	d.sum.Add(int64(took))
	i := 0
	for bounds := Buckets(); i < len(bounds) && took.Seconds() > bounds[i]; {
		i++
	}
	d.buckets[i].Add(1)
	if kind := errorKind(err); kind != "" {
		c.errors[kind].Add(1)
	}
}

// errorKind names an error; empty: it is none.
func errorKind(err error) string {
	if err == nil || errors.Is(err, goredis.Nil) || strings.HasPrefix(err.Error(), "NOSCRIPT") { // that is sent again with its text
		return ""
	}
	_, isReply := errors.AsType[goredis.Error](err)
	_, isNet := errors.AsType[net.Error](err)
	switch worded := worded(err); {
	case errors.Is(worded, context.Canceled):
		return ""
	case errors.Is(worded, errTimedOut), errors.Is(worded, errHandshake):
		return errorTimeout
	case errors.Is(worded, errPool):
		return errorPool
	case isReply:
		return errorRefused
	case errors.Is(worded, errLost), isNet:
		return errorConnect
	default:
		return errorOther
	}
}

// DialHook leaves connecting as it is: go-redis calls it.
func (c *counts) DialHook(next goredis.DialHook) goredis.DialHook { return next }

// ProcessHook counts commands: go-redis calls it.
func (c *counts) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmd)
		c.observe(cmd, began, err)
		return err
	}
}

// ProcessPipelineHook counts what goes in one round trip as one command: go-redis calls it.
func (c *counts) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmds)
		if len(cmds) > 0 {
			c.observe(cmds[0], began, err)
		}
		return err
	}
}

// Stats gives what has been counted so far.
func (c *Correlator) Stats() Stats {
	n := c.store.counts
	s := Stats{
		Commands: make(map[string]Durations, len(n.works)), Errors: make(map[string]uint64), Forged: make(map[string]uint64), Delivered: make(map[string]uint64),
		Reconnects: n.reconnects.Load(), Inbox: int(n.inbox.Load()), Waiting: c.batcher.length(),
	}
	for work, d := range n.works {
		s.Commands[work] = d.snapshot()
	}
	for kind, count := range n.errors {
		s.Errors[kind] = count.Load()
	}
	for where, count := range n.delivered {
		s.Delivered[where] = count.Load()
	}
	for k, name := range kinds() {
		s.Forged[name] = c.store.tags.forged[k].Load()
	}
	return s
}

func (d *durations) snapshot() Durations {
	all := Durations{Sum: time.Duration(d.sum.Load()), Buckets: make([]uint64, len(Buckets()))}
	for i := range d.buckets {
		all.Count += d.buckets[i].Load()
		if i < len(all.Buckets) {
			all.Buckets[i] = all.Count
		}
	}
	return all
}
