package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Quoting is no Redis: it takes connections and subscriptions, and answers all other commands with what quotes their arguments, as real
// servers do in some of their errors.
type Quoting struct {
	listener net.Listener
	answer   func(command []string) string

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	all   sync.WaitGroup
}

// StartQuoting runs one until the end of the test. answer words the line that answers a command, without its end; "" closes the
// connection after half of one.
func StartQuoting(t testing.TB, answer func(command []string) string) *Quoting {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	q := &Quoting{listener: l, answer: answer, conns: make(map[net.Conn]struct{})}
	q.all.Go(q.accept)
	t.Cleanup(func() {
		_ = l.Close()
		q.mu.Lock()
		for c := range q.conns {
			_ = c.Close()
		}
		q.mu.Unlock()
		q.all.Wait()
	})
	return q
}

// Addr is host:port.
func (q *Quoting) Addr() string { return q.listener.Addr().String() }

func (q *Quoting) accept() {
	for {
		c, err := q.listener.Accept()
		if err != nil {
			return
		}
		q.mu.Lock()
		q.conns[c] = struct{}{}
		q.mu.Unlock()
		q.all.Go(func() {
			q.serve(c)
			_ = c.Close()
		})
	}
}

func (q *Quoting) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		command, err := readCommand(r)
		if err != nil {
			return
		}
		reply := q.reply(command)
		if reply == "" {
			_, _ = io.WriteString(c, "$1000\r\n"+strings.Join(command, " "))
			return
		}
		if _, err := io.WriteString(c, reply+"\r\n"); err != nil {
			return
		}
	}
}

// reply lets connections come about, as far as answer does not say otherwise.
func (q *Quoting) reply(command []string) string {
	switch strings.ToUpper(command[0]) {
	case "AUTH", "SELECT", "PING", "CLIENT":
		if line := q.answer(command); strings.HasPrefix(line, "-WRONGPASS") {
			return line
		}
		return "+OK"
	case "HELLO":
		return "-ERR unknown command"
	case "SUBSCRIBE":
		return fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1", len(command[1]), command[1])
	}
	return q.answer(command)
}

// readCommand reads an array of bulk strings.
func readCommand(r *bufio.Reader) (command []string, err error) {
	n, err := readSize(r, "*")
	if err != nil || n < 1 {
		return nil, fmt.Errorf("read a command of %d parts: %w", n, err)
	}
	for range n {
		size, err := readSize(r, "$")
		if err != nil {
			return nil, err
		}
		part := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(r, part); err != nil {
			return nil, err
		}
		command = append(command, string(part[:size]))
	}
	return command, nil
}

func readSize(r *bufio.Reader, mark string) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(line), mark))
}
