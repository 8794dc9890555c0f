package main

import (
	"context"
	_ "embed" // of the program for node
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// program is one under test.
type program struct {
	name  string // on the command line
	title string // in tables
	pkg   string // that it is built from; empty: it is for node
	nodes int    // processes that the clients are spread over
	redis bool   // it needs a redis-server
	cross bool   // the engine sends each callback to the other node
	keys  bool   // it knows an Idempotency-Key
	tls   bool   // clients and the engine reach it by https
	plain bool   // clients ask its route in plain HTTP, and it asks an engine of plain HTTP
	split bool   // requests and callbacks reach it in two segments each

	baseline bool // it is here to be compared with, and nobody's product
	parks    bool // its memory is measured
	profiled bool // its admin address has /debug/pprof
	files    int  // that it has open for a parked client

	// command writes what a node needs into dir and gives its arguments.
	command func(dir string, at addresses) ([]string, error)
}

// addresses in the configuration of a node, host:port each.
type addresses struct {
	public, admin, engine, redis string
	tls                          bool
}

// scheme is that of the public address.
func (a addresses) scheme() string {
	if a.tls {
		return "https"
	}
	return "http"
}

func programs() []program {
	const floor, gateway = "syncgate/bench/floor", "syncgate/cmd/syncgate"
	return []program{
		{name: "floor", title: "floor", pkg: floor, nodes: 1, parks: true, profiled: true, files: 1, command: floorArgs},
		{name: "pipelined", title: "floor, pipelined to the engine", pkg: floor, nodes: 1, command: pipelinedArgs},
		{name: "memory", title: "syncgate, in memory", pkg: gateway, keys: true, nodes: 1, parks: true, profiled: true, files: 1, command: gatewayArgs},
		{name: "waiters", title: "syncgate, in memory, waiters of other processes", pkg: gateway, nodes: 1, profiled: true, files: 1, command: waitersArgs},
		{name: "split", title: "syncgate, in memory, request and callback in two segments each", pkg: gateway, nodes: 1, split: true, files: 1, command: gatewayArgs},
		{name: "route", title: "syncgate, in memory, a route before an http engine", pkg: gateway, nodes: 1, plain: true, profiled: true, files: 1, command: routeArgs},
		{name: "routeredis", title: "syncgate, Redis, a route before an http engine", pkg: gateway, nodes: 1, redis: true, plain: true, profiled: true, files: 1, command: routeArgs},
		{name: "routeremote", title: "syncgate, Redis, two nodes, reports at the other", pkg: gateway, nodes: 2, redis: true, cross: true, plain: true, profiled: true, files: 1, command: routeArgs},
		{name: "floortls", title: "floor, TLS", pkg: floor, nodes: 1, tls: true, files: 1, command: floorTLSArgs},
		{name: "tls", title: "syncgate, in memory, TLS", pkg: gateway, nodes: 1, tls: true, parks: true, files: 1, command: gatewayArgs},
		{name: "redis", title: "syncgate, Redis", pkg: gateway, keys: true, nodes: 1, redis: true, parks: true, profiled: true, files: 1, command: gatewayArgs},
		{name: "two", title: "syncgate, Redis, two nodes", pkg: gateway, keys: true, nodes: 2, redis: true, command: gatewayArgs},
		{name: "remote", title: "syncgate, Redis, two nodes, callback at the other", pkg: gateway, keys: true, nodes: 2, redis: true, cross: true, command: gatewayArgs},
		{
			name: "subscribe", title: "Go net/http, SUBSCRIBE per request", pkg: "syncgate/bench/subscribe", nodes: 1, redis: true,
			baseline: true, parks: true, profiled: true, files: 2, command: subscribeArgs,
		},
		{
			name: "ioredis", title: "node, ioredis, SUBSCRIBE per request", nodes: 1, redis: true,
			baseline: true, parks: true, files: 1, command: nodeArgs,
		},
	}
}

func programNames() (names []string) {
	for _, p := range programs() {
		names = append(names, p.name)
	}
	return names
}

func floorArgs(_ string, at addresses) ([]string, error) {
	return []string{"-listen", at.public, "-admin", at.admin, "-engine", at.engine}, nil
}

func floorTLSArgs(dir string, at addresses) ([]string, error) {
	args, err := floorArgs(dir, at)
	return append(args, "-cert", filepath.Join(dir, certFile), "-key", filepath.Join(dir, keyFile)), err
}

func pipelinedArgs(dir string, at addresses) ([]string, error) {
	args, err := floorArgs(dir, at)
	return append(args, "-pipeline"), err
}

func subscribeArgs(_ string, at addresses) ([]string, error) {
	return []string{"-listen", at.public, "-admin", at.admin, "-engine", at.engine, "-redis", at.redis}, nil
}

const (
	login, secret = "bench", "secret of bench"

	// routePath is where the gateway has a route in programs that are plain. The key of the caller is secret.
	routePath = "/v1/bench"

	// gatewayConfig is the gateway as it is shipped, apart from its addresses and who may call.
	gatewayConfig = `listen:
  public: %q
  admin: %q
%scallback: {base_url: "%s://%s", keys: ["key of the callbacks in a benchmark"]}
engine: {url: "http://%s"}
auth: {credentials: [{login: %q, secret: %q}]}
log: {level: info, format: json}
`
	tlsConfig = `  tls: {cert_file: %q, key_file: %q}
`
	routeConfig = `engines: [{name: plain, kind: http, url: "http://%s/task"}]
routes: [{name: bench, path: %s, engine: plain, wait: {max: %s}}]
access: [{name: bench, key: %q, routes: [bench]}]
`
	// waitersConfig has waiters of processes that no request names: tasks of the load are of process 1234.
	waitersConfig = `waiters:
  - {name: orders, conv_id: 1001, timer: 10m}
  - {name: payments, conv_id: 1002, hashes: [%[1]s], path: data.order_id, key: data.order_id, timer: 10m}
  - {name: webhooks, conv_id: 1003, hashes: [%[1]s], path: id, key: ref, timer: 10m, engine: none, verify: {preset: github, secret: %[2]q}}
`
	redisConfig = `correlator: {backend: redis, redis: {url: "redis://%s"}}
`
)

func gatewayArgs(dir string, at addresses) ([]string, error) { return configured(dir, at, "") }

// routeArgs are those of a gateway that has a route before an engine of plain HTTP, which is the same one.
func routeArgs(dir string, at addresses) ([]string, error) {
	return configured(dir, at, fmt.Sprintf(routeConfig, at.engine, routePath, waits, secret))
}

// waitersArgs gives the arguments of a gateway with three waiters, none of which is for the process of the trips.
func waitersArgs(dir string, at addresses) ([]string, error) {
	return configured(dir, at, fmt.Sprintf(waitersConfig, strings.Repeat("5", 40), secret))
}

// configured writes the gateway's configuration, with more at its end, and gives the arguments.
func configured(dir string, at addresses, more string) ([]string, error) {
	listen := ""
	if at.tls {
		listen = fmt.Sprintf(tlsConfig, filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
	}
	config := fmt.Sprintf(gatewayConfig, at.public, at.admin, listen, at.scheme(), at.public, at.engine, login, secret)
	if at.redis != "" {
		config += fmt.Sprintf(redisConfig, at.redis)
	}
	file, err := os.CreateTemp(dir, "syncgate-*.yaml")
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	_, err = file.WriteString(config + more)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return []string{"serve", "--config", file.Name()}, nil
}

// path is the program to start.
func (p program) path(dir string) string {
	if p.pkg == "" {
		return "node"
	}
	return filepath.Join(dir, filepath.Base(p.pkg))
}

// build makes every program that can be had here and leaves out the others.
func (b *bench) build(ctx context.Context) error {
	if err := certify(b.dir); err != nil {
		return err
	}
	_, noRedis := exec.LookPath("redis-server")
	for _, p := range append([]program(nil), b.programs...) {
		if p.redis && noRedis != nil {
			b.leaveOut(p, "there is no redis-server", noRedis)
			continue
		}
		if p.pkg == "" {
			if why, err := installNode(ctx, b.dir); err != nil {
				b.leaveOut(p, why, err)
			}
			continue
		}
		out, err := exec.CommandContext(ctx, "go", "build", "-o", p.path(b.dir), p.pkg).CombinedOutput() //nolint:gosec // the table of programs is a constant
		if err != nil {
			return fmt.Errorf("build %s: %w\n%s", p.pkg, err, out)
		}
	}
	return nil
}

// The program for node and what npm needs to know of it.
var (
	//go:embed ioredis/server.js
	nodeServer []byte
	//go:embed ioredis/package.json
	nodePackage []byte
	//go:embed ioredis/package-lock.json
	nodeLock []byte
)

// installTime is what npm has for its work.
const installTime = time.Minute

// installNode puts the program for node and its modules into dir. Its error comes with words for the documents.
func installNode(ctx context.Context, dir string) (why string, err error) {
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			return "there is no " + name, err
		}
	}
	dir = nodeDir(dir)
	err = os.Mkdir(dir, 0o700)
	for name, text := range map[string][]byte{"server.js": nodeServer, "package.json": nodePackage, "package-lock.json": nodeLock} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	if err != nil {
		return "its files could not be written", err
	}
	ctx, cancel := context.WithTimeout(ctx, installTime)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return "npm could not install its modules", fmt.Errorf("npm: %w\n%s", err, out)
	}
	return "", nil
}

func nodeDir(dir string) string { return filepath.Join(dir, "ioredis") }

func nodeArgs(dir string, at addresses) ([]string, error) {
	return []string{filepath.Join(nodeDir(dir), "server.js"), at.public, at.engine, at.redis}, nil
}
