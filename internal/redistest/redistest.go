// Package redistest runs real redis-server processes for tests.
package redistest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/freeport"
)

// startTimeout is how long a server may take until it answers.
const startTimeout = 10 * time.Second

// Server is one redis-server process. Its methods are for one goroutine at a time.
type Server struct {
	t       testing.TB
	dir     string // its working directory: what it persists survives a Restart
	network string
	addr    string
	args    []string
	config  string // a sentinel's file, else empty
	cluster bool   // it has its slots
	process *exec.Cmd
	log     bytes.Buffer
}

// Start runs a server on a unix socket until the end of the test. Persistence is off unless args, which are those
// of redis-server, switch it on.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := newServer(t, "unix", args)
	s.addr = filepath.Join(s.dir, "redis.sock")
	s.Restart()
	return s
}

// StartTCP runs a server on a free port of 127.0.0.1 until the end of the test.
func StartTCP(t testing.TB, args ...string) *Server {
	t.Helper()
	s := newServer(t, "tcp", args)
	s.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
	s.Restart()
	return s
}

// StartCluster runs a Cluster of one server, which has all slots, until the end of the test.
func StartCluster(t testing.TB) *Server {
	t.Helper()
	s := StartTCP(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf")
	if got := s.Do("CLUSTER", "ADDSLOTSRANGE", "0", "16383"); got != "+OK" {
		t.Fatalf("redistest: add slots: %s", got)
	}
	s.cluster = true
	s.awaitCluster()
	return s
}

// StartSentinel runs a sentinel that watches one server under a name, until the end of the test. Its quorum is 1.
func StartSentinel(t testing.TB, name string, master *Server) *Server {
	t.Helper()
	return startSentinel(t, name, master, 1)
}

func startSentinel(t testing.TB, name string, master *Server, quorum int) *Server {
	t.Helper()
	s := newServer(t, "tcp", nil)
	port := FreePort(t)
	s.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	host, masterPort, err := net.SplitHostPort(master.addr)
	if err != nil {
		t.Fatalf("redistest: a sentinel's server is reached over TCP: %v", err)
	}
	config := fmt.Sprintf("port %d\nbind 127.0.0.1\nsentinel monitor %s %s %s %d\nsentinel down-after-milliseconds %[2]s 500\n"+
		"sentinel failover-timeout %[2]s 3000\n", port, name, host, masterPort, quorum)
	s.config = filepath.Join(s.dir, "sentinel.conf")
	if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
		t.Fatalf("redistest: write the sentinel's configuration: %v", err)
	}
	s.Restart()
	return s
}

func (s *Server) awaitCluster() {
	s.t.Helper()
	s.until("the cluster is up", func() bool { return strings.Contains(s.Do("CLUSTER", "INFO"), "cluster_state:ok") })
}

// FreePort gives a port of 127.0.0.1 that is free now, and 10000 above it as well, where a Cluster wants it.
func FreePort(t testing.TB) int {
	t.Helper()
	found, err := freeport.Addresses(1)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	_, text, err := net.SplitHostPort(found[0])
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	port, _ := strconv.Atoi(text) // it was a number
	return port
}

func newServer(t testing.TB, network string, args []string) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "redis") // short: t.TempDir can be longer than a socket's path may be
	if err != nil {
		t.Fatalf("redistest: make a directory: %v", err)
	}
	s := &Server{t: t, dir: dir, network: network, args: args}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() && s.log.Len() > 0 {
			t.Logf("redis-server: %s", s.log.String())
		}
		_ = os.RemoveAll(dir)
	})
	return s
}

// URL is where clients find the server.
func (s *Server) URL() string {
	if s.network == "unix" {
		return "unix://" + s.addr
	}
	return "redis://" + s.addr
}

// Addr is the socket's path, or host and port.
func (s *Server) Addr() string { return s.addr }

// Kill ends the process as kill -9 does. It does nothing to one that is not running.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.process = nil
}

// Restart starts the server, again and at the same address if it has been killed, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.log.Reset()
	s.process = exec.Command("redis-server", s.arguments()...) //nolint:gosec // the test's own arguments
	s.process.Stdout, s.process.Stderr = &s.log, &s.log
	s.process.SysProcAttr = endWithParent()
	if err := s.process.Start(); err != nil {
		s.process = nil
		s.t.Fatalf("redistest: start redis-server: %v", err)
	}
	s.until("redis-server answers", func() bool {
		reply, err := s.exchange("PING")
		return err == nil && (reply == "+PONG" || strings.HasPrefix(reply, "-NOAUTH"))
	})
	if s.cluster {
		s.awaitCluster()
	}
}

func (s *Server) arguments() []string {
	if s.config != "" {
		return []string{s.config, "--sentinel", "--dir", s.dir}
	}
	args := []string{"--dir", s.dir, "--daemonize", "no", "--save", "", "--loglevel", "warning"}
	if s.network == "unix" {
		args = append(args, "--port", "0", "--unixsocket", s.addr)
	} else {
		host, port, _ := net.SplitHostPort(s.addr)
		args = append(args, "--bind", host, "--port", port)
	}
	return append(args, s.args...)
}

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(sig); err != nil {
		s.t.Fatalf("redistest: %v: %v", sig, err)
	}
}

// Do sends one command over a connection of its own and gives the reply: its first line as it is on the wire, but a
// string without its length, and of an array each element, one a line.
func (s *Server) Do(args ...string) string {
	s.t.Helper()
	reply, err := s.exchange(args...)
	if err != nil {
		s.t.Fatalf("redistest: %s: %v", args[0], err)
	}
	return reply
}

// DoAs is Do with a password of the default user.
func (s *Server) DoAs(password string, args ...string) string {
	s.t.Helper()
	reply, err := s.exchangeAll([]string{"AUTH", password}, args)
	if err != nil {
		s.t.Fatalf("redistest: %s: %v", args[0], err)
	}
	return reply
}

func (s *Server) exchange(args ...string) (string, error) { return s.exchangeAll(args) }

// exchangeAll sends commands, one after the other, and gives the last one's reply.
func (s *Server) exchangeAll(commands ...[]string) (reply string, err error) {
	conn, err := net.DialTimeout(s.network, s.addr, time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	r := bufio.NewReader(conn)
	for _, args := range commands {
		var b bytes.Buffer
		fmt.Fprintf(&b, "*%d\r\n", len(args))
		for _, a := range args {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
		}
		if _, err := conn.Write(b.Bytes()); err != nil {
			return "", err
		}
		if reply, err = read(r); err != nil {
			return "", err
		}
	}
	return reply, nil
}

// read reads one reply.
func read(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	line = strings.TrimSuffix(line, "\r\n")
	if err != nil || !strings.HasPrefix(line, "$") && !strings.HasPrefix(line, "*") {
		return line, err
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < 0 {
		return line, err
	}
	if line[0] == '$' {
		text := make([]byte, n+2)
		_, err = io.ReadFull(r, text)
		return string(text[:n]), err
	}
	elements := make([]string, n)
	for i := range elements {
		if elements[i], err = read(r); err != nil {
			return "", err
		}
	}
	return strings.Join(elements, "\n"), nil
}

// until polls until ok, or fails the test.
func (s *Server) until(what string, ok func() bool) {
	s.t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	end := time.After(startTimeout)
	for !ok() {
		select {
		case <-poll.C:
		case <-end:
			s.t.Fatalf("redistest: %s: not in time", what)
		}
	}
}
