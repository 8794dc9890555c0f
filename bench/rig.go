package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/internal/freeport"
)

// rig is a running program with all that it needs: its nodes, an engine, and Redis.
type rig struct {
	program program
	nodes   []*process
	at      []addresses // of the nodes
	redis   *process    // nil: it needs none
	engine  *process
	roots   *x509.CertPool    // that verify the nodes
	sim     *enginesim.Engine // instead of engine, where the scene has to know what it has taken
}

// setting is what a scene wants of a rig.
type setting struct {
	delay  time.Duration // of the engine's callbacks
	inside bool          // the engine runs in this process
}

// start starts p anew. What was started ends by stop, or with ctx.
func (b *bench) start(ctx context.Context, p program, s setting) (r *rig, err error) {
	r = &rig{program: p}
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	free, err := freeport.Addresses(2 + 2*p.nodes)
	if err != nil {
		return r, err
	}
	for i := range p.nodes {
		at := addresses{public: free[2+2*i], admin: free[3+2*i], engine: free[0], tls: p.tls}
		if p.redis {
			at.redis = free[1]
		}
		r.at = append(r.at, at)
	}
	if p.redis {
		if r.redis, err = startRedis(ctx, b.dir, free[1]); err != nil {
			return r, err
		}
	}
	if r.roots, err = p.roots(b.dir); err != nil {
		return r, err
	}
	if err := r.startEngine(ctx, b.dir, s); err != nil {
		return r, err
	}
	for _, at := range r.at {
		if err := r.startNode(ctx, b.dir, at); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (r *rig) startNode(ctx context.Context, dir string, at addresses) error {
	args, err := r.program.command(dir, at)
	if err != nil {
		return err
	}
	p, err := start(ctx, dir, r.program.path(dir), args...)
	if err != nil {
		return err
	}
	r.nodes = append(r.nodes, p)
	addr := at.public
	if at.tls {
		addr = at.admin // its certificate is not one that the system knows
	}
	return p.answers(ctx, "http://"+addr+"/readyz")
}

// startEngine starts the simulated engine. Where callbacks are to cross, it takes each node for the next one.
func (r *rig) startEngine(ctx context.Context, dir string, s setting) (err error) {
	rewrite := make(map[string]string)
	if r.program.cross {
		for i, at := range r.at {
			rewrite[at.public] = r.at[(i+1)%len(r.at)].public
		}
	}
	if s.inside {
		cfg := enginesim.Default()
		cfg.Listen, cfg.Rewrite, cfg.Split = r.at[0].engine, rewrite, r.program.split
		if r.program.plain {
			cfg.Record = maxConnections // the scene of streams reports to the callback URLs of these requests
		}
		cfg.Roots = r.roots
		cfg.Behaviour.Delay = enginesim.Range{Min: s.delay, Max: s.delay}
		r.sim, err = enginesim.Start(cfg)
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	args := []string{"engine", "-listen", r.at[0].engine, "-delay", s.delay.String()}
	if r.program.split {
		args = append(args, "-split")
	}
	if r.program.tls {
		args = append(args, "-ca-file", filepath.Join(dir, certFile))
	}
	for from, to := range rewrite {
		args = append(args, "-rewrite", from+"="+to)
	}
	if r.engine, err = start(ctx, dir, self, args...); err != nil {
		return err
	}
	return r.engine.answers(ctx, "http://"+r.at[0].engine)
}

func (r *rig) stop() {
	for _, p := range append(r.nodes, r.redis, r.engine) {
		if p != nil {
			p.stop()
		}
	}
	if r.sim != nil {
		r.sim.Close()
	}
}

// load is one against all nodes.
func (r *rig) load(connections int, during time.Duration) load {
	l := defaultLoad()
	l.urls = nil
	for _, at := range r.at {
		l.urls = append(l.urls, at.scheme()+"://"+at.public)
	}
	l.split, l.plain, l.roots = r.program.split, r.program.plain, r.roots
	l.connections, l.during, l.trips, l.limit = connections, during, maxTrips, during+startTime
	return l
}

// pids are those of the nodes.
func (r *rig) pids() (all []int) {
	for _, p := range r.nodes {
		all = append(all, p.cmd.Process.Pid)
	}
	return all
}

// cpuTimes is processor time that a rig's processes have used.
type cpuTimes struct{ user, kernel, redis time.Duration }

func (c cpuTimes) less(before cpuTimes) cpuTimes {
	return cpuTimes{c.user - before.user, c.kernel - before.kernel, c.redis - before.redis}
}

// cpu is that of the nodes together, and Redis's apart.
func (r *rig) cpu() (c cpuTimes, err error) {
	for _, p := range r.nodes {
		user, kernel, err := p.cpu()
		if err != nil {
			return c, err
		}
		c.user += user
		c.kernel += kernel
	}
	if r.redis != nil {
		user, kernel, err := r.redis.cpu()
		if err != nil {
			return c, err
		}
		c.redis = user + kernel
	}
	return c, nil
}

// take runs the load and gives what it has cost.
func (r *rig) take(ctx context.Context, l load) (*result, cpuTimes, error) {
	before, err := r.cpu()
	if err != nil {
		return nil, before, err
	}
	res, err := l.run(ctx)
	if err == nil {
		err = res.err()
	}
	if err != nil {
		return nil, before, err
	}
	after, err := r.cpu()
	return res, after.less(before), err
}

// warm runs a load for nothing but its effects on caches, pools and connections.
func (r *rig) warm(ctx context.Context, l load) error {
	res, err := l.run(ctx)
	if err == nil {
		err = res.err()
	}
	if err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	return nil
}

// heap is what lives in the heap of the first node, which collects its garbage for that.
func (r *rig) heap(ctx context.Context) (int64, error) {
	text, err := read(ctx, "http://"+r.at[0].admin+"/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return 0, err
	}
	return parseHeap(text)
}

// startRedis runs a server that keeps nothing on disk.
func startRedis(ctx context.Context, dir, addr string) (*process, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	const clients = "15000" // a SUBSCRIBE per request has a connection per request
	p, err := start(ctx, dir, "redis-server", "--bind", host, "--port", port, "--dir", dir, "--save", "", "--appendonly", "no",
		"--maxclients", clients, "--loglevel", "warning")
	if err != nil {
		return nil, err
	}
	limit := time.Now().Add(startTime)
	for !pings(ctx, addr) {
		if time.Now().After(limit) || !pause(ctx, 20*time.Millisecond) {
			p.stop()
			return nil, errors.New("redis-server does not answer: " + p.tail())
		}
	}
	return p, nil
}

// pings reports whether a Redis server answers.
func pings(ctx context.Context, addr string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.HasPrefix(line, "+PONG")
}

// version is the first number with a dot that a program says of itself.
func version(ctx context.Context, program string) string {
	out, err := exec.CommandContext(ctx, program, "--version").CombinedOutput()
	if found := versionNumber.Find(out); err == nil && found != nil {
		return string(found)
	}
	return "unknown"
}
