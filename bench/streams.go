package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/enginesim"
)

// streams is the scene of clients that hear of their tasks as these go on.
type streams struct {
	parked, open, after samples // resident bytes of a client that is held, of a stream, and of one behind its events
	own, redis          samples // processor time in microseconds an event
	answered, all       samples // milliseconds from the first callback until the last was answered, and until the last event was read
}

const (
	// eventsEach is how many events of progress each stream gets.
	eventsEach = 10
	// reporters is how many callbacks are on their way at once.
	reporters = 256
)

func (s *streams) round(ctx context.Context, b *bench) error {
	return b.each(ctx, func(p program) bool { return p.plain }, func(p program) error {
		if !p.redis {
			err := grown(ctx, b, p, false, func(_ *footing, _ *crowd, each float64) error {
				s.parked.add(p.name, each)
				return nil
			})
			if err != nil {
				return fmt.Errorf("held clients: %w", err)
			}
		}
		return grown(ctx, b, p, true, func(f *footing, c *crowd, each float64) error {
			s.open.add(p.name, each)
			return s.measure(ctx, b, f, c)
		})
	})
}

// grown starts a program and the clients of the scene, and has do called with the resident bytes that each client takes. The clients wait for their results,
// or hear events.
func grown(ctx context.Context, b *bench, p program, events bool, do func(f *footing, c *crowd, each float64) error) error {
	f, err := b.found(ctx, p)
	if err != nil {
		return err
	}
	defer f.stop()
	c := gather(f.rig, 0)
	c.run.stream = events
	defer c.leave(true)
	if err := c.grow(ctx, min(b.few, b.room(p))); err != nil {
		return err
	}
	if events {
		if err := c.accepted(); err != nil {
			return err
		}
	}
	each, err := f.each(ctx, b, len(c.clients))
	if err != nil {
		return err
	}
	return do(f, c, each)
}

// each gives the resident bytes that each of n clients takes.
func (f *footing) each(ctx context.Context, b *bench, n int) (float64, error) {
	node, _, _, err := f.settled(ctx, b)
	return float64(node-f.resident) / float64(n), err
}

// measure has the engine report of the task of each stream.
func (s *streams) measure(ctx context.Context, b *bench, f *footing, c *crowd) error {
	n := len(c.clients)
	tasks := f.sim.Tasks()
	tasks = tasks[len(tasks)-n:]
	before, err := f.cpu()
	if err != nil {
		return err
	}
	answered, all, err := c.reported(ctx, tasks)
	if err != nil {
		return err
	}
	used, err := f.cpu()
	if err != nil {
		return err
	}
	used = used.less(before)
	after, err := f.each(ctx, b, n)
	if err != nil {
		return err
	}
	a := func(d time.Duration) float64 { return micros(d) / float64(n*eventsEach) }
	name := f.program.name
	s.after.add(name, after)
	s.own.add(name, a(used.user+used.kernel))
	s.redis.add(name, a(used.redis))
	s.answered.add(name, micros(answered)/1000)
	s.all.add(name, micros(all)/1000)
	return nil
}

// reported has all events of the tasks reported and read. It gives how long that took until each was answered, and until each was read.
func (c *crowd) reported(ctx context.Context, tasks []enginesim.Task) (answered, all time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, crowdTime)
	defer cancel()
	at := c.rig.at[len(c.rig.at)-1].public // where callbacks are to cross, the other node
	began := time.Now()
	errs := make(chan error, reporters)
	var reporting sync.WaitGroup
	for i := range reporters {
		reporting.Go(func() { errs <- report(ctx, at, tasks[i*len(tasks)/reporters:(i+1)*len(tasks)/reporters]) })
	}
	read := make(chan error, 1)
	go func() {
		err := c.hear()
		all = time.Since(began)
		read <- err
	}()
	reporting.Wait()
	answered = time.Since(began)
	for range reporters {
		err = errors.Join(err, <-errs)
	}
	err = errors.Join(err, <-read)
	return answered, all, err
}

// reporter is a connection over which an engine reports.
type reporter struct {
	conn net.Conn
	in   *bufio.Reader
	at   string
	req  []byte
	resp fasthttp.Response
}

// report calls back with all events of some tasks, the first of each before the second of any.
func report(ctx context.Context, at string, tasks []enginesim.Task) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at)
	if err != nil {
		return fmt.Errorf("connect for callbacks: %w", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	r := &reporter{conn: conn, in: bufio.NewReader(conn), at: at}
	for n := range eventsEach {
		for i := range tasks {
			if err := r.callBack(tasks[i].URL, progress(tasks[i].Data, n)); err != nil {
				return fmt.Errorf("call back: %w", err)
			}
		}
	}
	return nil
}

// callBack makes one report, for which the engine is to hear 200.
func (r *reporter) callBack(callbackURL string, body []byte) error {
	_, path, _ := strings.Cut(callbackURL, "//")
	path = path[strings.IndexByte(path, '/'):]
	b := append(append(r.req[:0], "POST "...), path...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), r.at...)
	b = append(b, "\r\nContent-Type: application/json\r\nX-Callback-Status: progress\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n\r\n"...)
	r.req = append(b, body...)
	if _, err := r.conn.Write(r.req); err != nil {
		return err
	}
	r.resp.Reset()
	if err := r.resp.ReadLimitBody(r.in, maxReply); err != nil {
		return err
	}
	if r.resp.StatusCode() != fasthttp.StatusOK {
		return fmt.Errorf("status %d, %.200s", r.resp.StatusCode(), r.resp.Body())
	}
	return nil
}

// progress gives the body of the engine's report number n. data is the task's data, a JSON object with at least one member.
func progress(data []byte, n int) []byte {
	b := strconv.AppendInt(append(make([]byte, 0, len(data)+16), `{"percent":`...), int64(100*n/eventsEach), 10)
	return append(append(b, ','), bytes.TrimPrefix(data, []byte("{"))...)
}

// accepted reads of every stream that the engine has its task.
func (c *crowd) accepted() error {
	return c.events(func(_ *client, text []byte) (bool, error) {
		if !bytes.Contains(text, []byte("event: accepted\n")) {
			return false, nil
		}
		if !bytes.HasPrefix(text, []byte("HTTP/1.1 200 ")) {
			return false, fmt.Errorf("no stream: %.200s", text)
		}
		return true, nil
	})
}

// hear reads all events of progress, which are to be those of its own task, in order.
func (c *crowd) hear() error {
	return c.events(func(cl *client, text []byte) (bool, error) {
		const mark = "event: progress\ndata: "
		if n := bytes.Count(text, []byte(mark)); n < eventsEach || !bytes.HasSuffix(text, []byte("\n\n")) && !bytes.HasSuffix(text, []byte("\n\n\r\n")) {
			return false, nil
		}
		for n := range eventsEach {
			want := "id: " + strconv.Itoa(n+1) + "\n" + mark + string(progress([]byte(`{"nonce":"`+string(cl.nonce)+`"}`), n)) + "\n\n"
			_, rest, found := bytes.Cut(text, []byte(want))
			if !found {
				return false, fmt.Errorf("%w: no %q in %.2000q", errMismatch, want, text)
			}
			text = rest
		}
		return true, nil
	})
}

// events reads of one stream after the other until whole says that it has what it is to have.
func (c *crowd) events(whole func(cl *client, text []byte) (bool, error)) error {
	buf := make([]byte, 64<<10)
	limit := time.Now().Add(crowdTime)
	for i, cl := range c.clients {
		if err := cl.conn.SetReadDeadline(limit); err != nil {
			return err
		}
		for n, done := 0, false; !done; {
			more, err := cl.conn.Read(buf[n:])
			if n += more; err != nil {
				return fmt.Errorf("stream %d: %w, behind %.500q", i+1, err, buf[:n])
			}
			if done, err = whole(cl, buf[:n]); err != nil {
				return fmt.Errorf("stream %d: %w", i+1, err)
			}
		}
	}
	return nil
}

func (s *streams) sections(b *bench) []section {
	n := figure(float64(b.few), 0)
	sec := section{
		title: "Streams of events",
		text: n + " clients of a route wait for events (`Accept: text/event-stream`). The engine reports " + strconv.Itoa(eventsEach) + " times of each task, over " + strconv.Itoa(reporters) +
			" connections. *All answered* is from the first report until the engine has the answer to the last, *all read* until every client has read its last event; load, engine, Redis and gateway share the processors. " +
			"Memory is the resident memory of the process, less what it had before the first client, in bytes a client: of one that is held at the same route, of a stream, and of a stream when its events " +
			"are written, which are kept for those who come back. With two nodes the clients are at one and the reports come to the other; the memory is that of the first.",
		head: []string{"", "held client", "stream", "behind its events", "CPU, us/event", "Redis, us/event", "all answered, ms", "all read, ms"},
		goals: []goal{
			{"resident bytes of an open stream, " + n + " open", 1.1, s.open.median("route") / s.parked.median("route"), " x a held client", 2},
			{strconv.Itoa(eventsEach) + " events to each of " + n + " streams, in memory", 2000, s.all.median("route"), " ms", 0},
		},
	}
	for _, p := range b.among(s.all) {
		redis := "-"
		if p.redis {
			redis = figure(s.redis.median(p.name), 1)
		}
		sec.rows = append(sec.rows, []string{
			p.title, spread(s.parked[p.name], 0), spread(s.open[p.name], 0), spread(s.after[p.name], 0), figure(s.own.median(p.name), 1), redis,
			spread(s.answered[p.name], 0), spread(s.all[p.name], 0),
		})
	}
	return []section{sec}
}
