package httpserver

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// TestConnSize has a connection in the allocator's class of 288 bytes: the next one is 320.
func TestConnSize(t *testing.T) {
	if n := unsafe.Sizeof(conn{}); n > 288 {
		t.Errorf("a connection takes %d bytes", n)
	}
}

func TestStreamAllocations(t *testing.T) {
	r := newRig(t, Config{}, ListenConfig{})
	_, s, body := r.open()
	go func() { _, _ = io.Copy(io.Discard, body) }()
	piece := []byte(strings.Repeat("x", 200))
	n := testing.AllocsPerRun(100, func() {
		eventually(t, "written", func() bool { _, unsent := s.has(); return !unsent })
		s.Send(piece)
	})
	if n > 0 && !raced {
		t.Errorf("Send allocates %v times", n)
	}
}

// crowdVariable has this program be the clients of TestStreamCost, of the server at the address that it gives.
const crowdVariable = "SYNCGATE_TEST_STREAMS"

const (
	crowdPieces = 10
	crowdPiece  = "id: 1\nevent: progress\ndata: "
)

// crowd opens as many streams as stdin says, reads all pieces of each, and says so. It ends with stdin.
func crowd(addr string, stdin io.Reader, stdout io.Writer) (code int) {
	lines := bufio.NewScanner(stdin)
	lines.Scan()
	n, _ := strconv.Atoi(lines.Text())
	var reading sync.WaitGroup
	for range n {
		nc, err := net.Dial("tcp", addr) //nolint:gosec // the test's own
		if err == nil {
			_, err = io.WriteString(nc, streamRequest)
		}
		if err != nil {
			fmt.Fprintln(stdout, err)
			return 1
		}
		reading.Go(func() {
			b := make([]byte, 1<<10)
			for left := crowdPieces; left > 0; {
				n, err := nc.Read(b)
				if err != nil {
					return
				}
				left -= bytes.Count(b[:n], []byte("$"))
			}
		})
	}
	reading.Wait()
	fmt.Fprintln(stdout, "all")
	lines.Scan()
	return 0
}

// TestStreamCost compares open streams with suspended exchanges, and prints what pieces to all of them cost.
func TestStreamCost(t *testing.T) {
	n := 10_000
	if raced {
		n = 500
	}
	r := newRig(t, Config{}, ListenConfig{})
	cmd, stdin, stdout := startCrowd(t, r.l.Addr().String())
	none, goroutines := memory(), runtime.NumGoroutine()
	fmt.Fprintln(stdin, n)
	all := make([]*suspension, n)
	for i := range all {
		all[i] = r.next()
	}
	parked := memory()
	for _, s := range all {
		s.Begin(newAnswer(""))
	}
	open := memory()
	piece := []byte(crowdPiece + strings.Repeat("x", 200-len(crowdPiece)-3) + "$\n\n")
	cpu, began := processorTime(), time.Now()
	sendPieces(all, piece)
	sent, sentCPU := time.Since(began), processorTime()-cpu
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "all\n" {
		t.Fatalf("the clients: %q, %v", line, err)
	}
	read := time.Since(began)
	used := memory()
	more := runtime.NumGoroutine() - goroutines
	per := func(m int64) int64 { return (m - none) / int64(n) }
	t.Logf("%d: a suspended exchange takes %d bytes of heap and stacks, an open stream %d, and %d behind %d pieces", n, per(parked), per(open), per(used), crowdPieces)
	t.Logf("%d pieces of %d bytes to each: sent by two goroutines in %v with %v of CPU time, read by all clients after %v, %d goroutines more", crowdPieces, len(piece), sent, sentCPU, read, more)
	if most := per(parked) + 64; !raced && (per(open) > most || per(used) > most) {
		t.Errorf("a stream costs more than a suspended exchange")
	}
	if more > 20 {
		t.Errorf("%d goroutines more", more)
	}
	_ = stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// sendPieces sends a piece to each of all by turns, on two goroutines.
func sendPieces(all []*suspension, piece []byte) {
	var sending sync.WaitGroup
	for part := range slices.Chunk(all, (len(all)+1)/2) {
		sending.Go(func() {
			for range crowdPieces {
				for _, s := range part {
					s.Send(piece)
				}
			}
		})
	}
	sending.Wait()
}

// startCrowd starts this program as clients. They end when stdin is closed.
func startCrowd(t *testing.T, addr string) (cmd *exec.Cmd, stdin io.WriteCloser, stdout io.Reader) {
	t.Helper()
	cmd = exec.Command(os.Args[0]) //nolint:gosec // this test
	cmd.Env = append(os.Environ(), crowdVariable+"="+addr)
	stdin, err := cmd.StdinPipe()
	if err == nil {
		stdout, err = cmd.StdoutPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, stdin, stdout
}

// memory gives the bytes of heap and stacks that are in use.
func memory() int64 {
	runtime.GC()
	runtime.GC() // what is in a pool survives the first time
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse) //nolint:gosec // a few MB
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
