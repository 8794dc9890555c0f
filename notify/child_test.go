package notify_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
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

// childOutbox is that of the Outbox, which hangs in each look.
func childOutbox() notify.OutboxConfig {
	c := quickly()
	c.Workers, c.Lease = 64, 3*time.Second
	return c
}

// childLooks is the key that counts the looks of the process.
const childLooks = "looks"

// child is the process.
func child() {
	addr, prefix, _ := strings.Cut(os.Getenv(childEnv), " ")
	c := goredis.NewClient(options(addr))
	s, err := notify.New(notify.NewRedis(c, prefix, 0), childConfig())
	if err != nil {
		panic(err)
	}
	_ = s
	o, err := notify.NewOutbox(notify.NewRedisOutbox(c, prefix, 0), childOutbox())
	if err != nil {
		panic(err)
	}
	o.Start(func(context.Context, correlator.ID, bool) (time.Duration, bool, error) {
		c.Incr(context.Background(), childLooks)
		select {}
	})
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
