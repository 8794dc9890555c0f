package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// lead is how long the load runs before the fault, tail how long it runs on when all is well again.
	lead = time.Second
	tail = 700 * time.Millisecond
	// promised is how soon after the end of a fault, or after an acknowledged callback, parked clients have their answers.
	promised = 3 * time.Second
	// healing bounds the wait for every gateway to serve again.
	healing = 10 * time.Second
	// shown is how many trips of each bad verdict are printed.
	shown = 3
)

// cell is one fault and what it happens to.
type cell struct {
	component, fault string
	what             string // is done, and what it means for clients: a sentence for the report
	short            bool   // part of the short run
	setup            setup
	load             traffic
	// strike is the fault, from its beginning to its end.
	strike func(ctx context.Context, w *world) error
	// bites tells whether the fault was felt, as one that is not proves nothing; nil: the verdicts tell.
	bites func(r *result) error
}

func (c cell) name() string { return c.component + "/" + c.fault }

// result is what became of a cell.
type result struct {
	cell     cell
	counts   map[verdict]int
	first    map[verdict]*trip // one of each kind
	trips    []*trip
	evidence evidence
	heal     time.Duration // from the end of the fault until every gateway served again
	lag      time.Duration // the latest answer, after its callback and the end of the fault
	problems []string
	attempts map[string]int // at notifications, by outcome
}

func (r *result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d trips:", len(r.trips))
	for _, v := range []verdict{answered, recovered, timedOut, refused, cut, lost, doubled, mistaken, repeated, hung} {
		if n := r.counts[v]; n > 0 {
			fmt.Fprintf(&b, " %d %s,", n, v)
		}
	}
	fmt.Fprintf(&b, " healed in %s, latest %s", seconds(r.heal), seconds(r.lag))
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func (r *result) wrong(err error) {
	if err != nil {
		r.problems = append(r.problems, err.Error())
	}
}

// run builds the cell's world, loads it, strikes, and judges.
func (c cell) run(ctx context.Context, dir string) (r *result) {
	r = &result{cell: c, counts: make(map[verdict]int), first: make(map[verdict]*trip)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // kills what is left
	w, err := c.setup.build(ctx, dir)
	if err != nil {
		r.wrong(errors.Join(err, w.close()))
		return r
	}
	load := c.load.begin(ctx, w)
	pause(ctx, lead)
	err = c.strike(ctx, w)
	over := time.Now()
	if err == nil {
		err = w.heal(ctx)
	}
	r.heal = time.Since(over)
	pause(ctx, tail)
	r.trips = load.end()
	r.wrong(err)
	r.wrong(w.settle(ctx))
	r.wrong(r.hear(ctx, w))
	r.judge(w, over)
	r.wrong(w.close())
	if c.bites != nil {
		r.wrong(c.bites(r))
	}
	return r
}

// heal waits until every gateway that is there serves a trip whose callback comes to the other one.
func (w *world) heal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healing)
	defer cancel()
	for i, n := range w.nodes {
		if !n.here() {
			continue
		}
		for try := 0; ; try++ {
			other := w.nodes[(i+1)%len(w.nodes)]
			if !other.here() {
				other = n
			}
			t := &trip{nonce: fmt.Sprintf("heal.%d.%d", i, try), ops: 1, timeout: time.Second, sim: fmt.Sprintf(`"delay_ms":0,"ack":"ok","callback":"after","to":%q`, other.addr)}
			if t.answered(t.create(ctx, n.addr)) {
				break
			}
			if !pause(ctx, 50*time.Millisecond) {
				return fmt.Errorf("%s does not serve again: %w", n.addr, ctx.Err())
			}
		}
	}
	return nil
}

// settle waits until the engine has no callback left to send, and no gateway a client.
func (w *world) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := w.engine.Settle(ctx); err != nil {
		return fmt.Errorf("the engine repeats callbacks that nobody takes: %w", err)
	}
	for _, n := range w.nodes {
		if !n.here() {
			continue
		}
		if err := until(ctx, "no client is parked", func() bool { return n.parked() == 0 }); err != nil {
			return err
		}
	}
	return nil
}

// judge gives every trip its verdict, when every client with a Location has looked there once more.
func (r *result) judge(w *world, over time.Time) {
	for _, t := range r.trips {
		if t.hook == "" && t.location() != "" && t.fate() != answered && t.fate() != recovered {
			t.look(w.ctx, w.door(0), t.location(), 0)
		}
	}
	r.evidence = gather(w.engine)
	for _, t := range r.trips {
		f := r.evidence.judge(t)
		if r.counts[f.verdict]++; r.counts[f.verdict] == 1 {
			r.first[f.verdict] = t
		}
		if f.bad() && r.counts[f.verdict] <= shown {
			r.problems = append(r.problems, fmt.Sprintf("%s: %s: %s", f.verdict, f.why, t.story(r.evidence)))
		}
		if f.verdict == answered {
			r.lag = max(r.lag, r.evidence.lag(t, over))
		}
	}
	if r.lag > promised {
		r.problems = append(r.problems, fmt.Sprintf("a client was answered %s after its callback: more than %s", seconds(r.lag), promised))
	}
}

func (f finding) bad() bool {
	return f.verdict == lost || f.verdict == doubled || f.verdict == mistaken || f.verdict == repeated || f.verdict == hung
}

// story is all that is known of a trip, for people.
func (t *trip) story(v evidence) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, key %q, __sim {%s}", t.nonce, t.key, t.sim)
	for _, x := range t.asked {
		fmt.Fprintf(&b, "\n      %s to %s: %s: %d %.300s %v", x.began.Format(clock), x.ended.Format(clock), x.how, x.status, x.body, x.err)
	}
	for _, each := range t.heard.Visits {
		fmt.Fprintf(&b, "\n      its receiver: %s to %s: %d %.100s", each.Began.Format(clock), each.Ended.Format(clock), each.Answered, each.Data)
	}
	for i := range t.ops {
		for _, task := range v.Evidence[t.ref(i)] {
			fmt.Fprintf(&b, "\n      task of op %d:", i)
			for _, a := range task.Heard {
				fmt.Fprintf(&b, " %s %d", a.At.Format(clock), a.Status)
			}
		}
	}
	return b.String()
}

// parked is how many clients wait at a gateway; -1 when it does not say.
func (n *node) parked() int { return n.gauge("syncgate_parked_clients") }

// gauge is a metric without labels of a gateway; -1 when it does not say.
func (n *node) gauge(name string) int {
	resp, err := ask("http://" + n.admin + "/metrics")
	if err != nil {
		return -1
	}
	defer func() { _ = resp.Body.Close() }()
	return gauge(resp.Body, name)
}
