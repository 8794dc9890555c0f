package notify_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/internal/redistest"
	"syncgate/notify"
)

// childEnv names the Redis and the prefix of a process that sends until it is killed.
const childEnv = "NOTIFY_TEST_CHILD"

func childConfig() notify.Config {
	c := quick()
	c.Timeout, c.PerHost, c.Window = time.Second, 32, time.Minute
	return c
}

// child is the process.
func child() {
	addr, prefix, _ := strings.Cut(os.Getenv(childEnv), " ")
	s, err := notify.New(notify.NewRedis(goredis.NewClient(options(addr)), prefix, 0), childConfig())
	if err != nil {
		panic(err)
	}
	_ = s
	fmt.Println("sends") //nolint:forbidigo // the parent waits for it
	select {}
}

// startChild starts one, which the end of the test kills if nobody did.
func startChild(t *testing.T, server *redistest.Server, prefix string) *os.Process {
	t.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:gosec // it is this test
	cmd.Env = append(os.Environ(), childEnv+"="+server.Addr()+" "+prefix)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "sends\n" {
		t.Fatalf("the process says %q, %v", line, err)
	}
	return cmd.Process
}
