package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"syncgate/internal/freeport"
)

// server is a redis-server. What it has stored survives its restart.
type server struct {
	*process
	dir  string // its working directory
	addr string
	args []string
}

// newServer starts one on a free port and waits until it answers.
func newServer(ctx context.Context, dir string, args ...string) (*server, error) {
	at, err := freeport.Addresses(1)
	if err != nil {
		return nil, err
	}
	s := &server{addr: at[0], args: args}
	if s.dir, err = os.MkdirTemp(dir, "redis"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	return s, s.start(ctx)
}

func (s *server) start(ctx context.Context) (err error) {
	host, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{"--dir", s.dir, "--bind", host, "--port", port, "--save", "", "--loglevel", "warning"}, s.args...)
	if len(s.args) > 0 && s.args[0] == "--sentinel" {
		args = []string{filepath.Join(s.dir, "sentinel.conf"), "--sentinel"}
	}
	if s.process, err = start(ctx, s.dir, "redis-server", nil, args...); err != nil {
		return err
	}
	return until(ctx, "redis-server answers", func() bool {
		reply, err := s.do("PING")
		return err == nil && reply == "PONG"
	})
}

// want sends a command and wants OK.
func (s *server) want(args ...string) error {
	reply, err := s.do(args...)
	if err == nil && reply != "OK" {
		err = fmt.Errorf("redis: %s: %s", strings.Join(args, " "), reply)
	}
	return err
}

// do sends one command over a connection of its own and gives the reply as text; of an array, its elements a line each.
func (s *server) do(args ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return "", fmt.Errorf("redis: %s: %w", args[0], err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	var b bytes.Buffer
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := conn.Write(b.Bytes()); err != nil {
		return "", fmt.Errorf("redis: %s: %w", args[0], err)
	}
	reply, err := readReply(bufio.NewReader(conn))
	if err != nil {
		return "", fmt.Errorf("redis: %s: %w", args[0], err)
	}
	return reply, nil
}

func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return "", errors.New("an empty reply")
	}
	n, _ := strconv.Atoi(line[1:]) // of what has a length
	switch line[0] {
	case '-':
		return "", errors.New(line[1:])
	case '$':
		text := make([]byte, max(n, 0)+2)
		if n < 0 {
			return "", nil
		}
		_, err := io.ReadFull(r, text)
		return string(text[:n]), err
	case '*':
		var all []string
		for range n {
			element, err := readReply(r)
			if err != nil {
				return "", err
			}
			all = append(all, element)
		}
		return strings.Join(all, "\n"), nil
	default:
		return line[1:], nil
	}
}

// store is the Redis of a world.
type store struct {
	servers   []*server // the first is the master, where there is one
	sentinels []*server
	url       string // as the gateways have it; through their proxies where they have them
}

func (s *store) close() {
	for _, each := range append(s.servers, s.sentinels...) {
		if each.process != nil {
			each.kill()
		}
	}
}

// durable is how Redis has to be configured to keep what it has acknowledged, with further arguments before.
func durable(args ...string) []string {
	return append(args, "--appendonly", "yes", "--appendfsync", "always")
}

// newStandalone is one server.
func newStandalone(ctx context.Context, dir string) (*store, error) {
	s, err := newServer(ctx, dir, durable()...)
	if err != nil {
		return nil, err
	}
	return &store{servers: []*server{s}}, nil
}

// masterName is what the sentinels call their master.
const masterName = "main"

// newSentinels is a master, its replica, and three sentinels, two of which have to agree.
func newSentinels(ctx context.Context, dir string) (*store, error) {
	s := new(store)
	master, err := newServer(ctx, dir, durable()...)
	if err != nil {
		return nil, err
	}
	s.servers = append(s.servers, master)
	host, port, _ := net.SplitHostPort(master.addr)
	replica, err := newServer(ctx, dir, durable("--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")...)
	if err != nil {
		return s, err
	}
	s.servers = append(s.servers, replica)
	if err := until(ctx, "the replica follows", replica.follows); err != nil {
		return s, err
	}
	for range 3 {
		sentinel, err := newSentinel(ctx, dir, host, port)
		if err != nil {
			return s, err
		}
		s.sentinels = append(s.sentinels, sentinel)
	}
	s.url = fmt.Sprintf("redis://%s?master_name=%s&addr=%s&addr=%s", s.sentinels[0].addr, masterName, s.sentinels[1].addr, s.sentinels[2].addr)
	return s, until(ctx, "the sentinels know each other", s.watched)
}

// follows reports whether a replica has what its master has.
func (s *server) follows() bool {
	info, err := s.do("INFO", "replication")
	return err == nil && strings.Contains(info, "master_link_status:up")
}

// watched reports whether every sentinel knows the others and the replica.
func (s *store) watched() bool {
	for _, sentinel := range s.sentinels {
		if said, err := sentinel.do("SENTINEL", "CKQUORUM", masterName); err != nil || !strings.HasPrefix(said, "OK 3 ") {
			return false
		}
		if said, err := sentinel.do("SENTINEL", "REPLICAS", masterName); err != nil || !strings.Contains(said, s.servers[1].addr) {
			return false
		}
	}
	return true
}

func newSentinel(ctx context.Context, dir, host, port string) (*server, error) {
	at, err := freeport.Addresses(1)
	if err != nil {
		return nil, err
	}
	s := &server{addr: at[0], args: []string{"--sentinel"}}
	if s.dir, err = os.MkdirTemp(dir, "sentinel"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	_, own, _ := net.SplitHostPort(s.addr)
	config := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor %[3]s %s %s 2\nsentinel down-after-milliseconds %[3]s 500\nsentinel failover-timeout %[3]s 3000\n",
		own, s.dir, masterName, host, port)
	if err := os.WriteFile(filepath.Join(s.dir, "sentinel.conf"), []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("write the sentinel's configuration: %w", err)
	}
	return s, s.start(ctx)
}
