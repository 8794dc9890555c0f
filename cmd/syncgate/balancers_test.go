package main_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"syncgate/internal/enginesim"
	"syncgate/internal/redistest"
)

// nginx starts one as docs/balancers.md has it, in front of two gates.
func nginx(t *testing.T, address string, a, b *gate) {
	t.Helper()
	page, err := os.ReadFile("../../docs/balancers.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/balancers.md has no configuration for nginx")
	}
	shown := strings.NewReplacer("gateway-1:8080", a.public, "gateway-2:8080", b.public, "listen 8080;", "listen "+address+";").Replace(string(block[1]))
	startNginx(t, shown)
	eventually(t, "nginx has found a node", func() bool { status, _ := get(t, "http://"+address+"/readyz"); return status == 200 })
}

// startNginx starts one with the content of its section http.
func startNginx(t *testing.T, shown string) {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("user root; daemon off; pid %[1]s/pid; error_log %[1]s/error.log warn; events {}\nhttp {\naccess_log off;\n", dir)
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text+shown+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := new(logbook)
	command := exec.Command("nginx", "-e", filepath.Join(dir, "error.log"), "-c", file, "-p", dir)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		if t.Failed() {
			errors, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Logf("nginx:\n%s%s", log, errors)
		}
	})
}

// TestAbortBehindBalancers closes clients that wait behind a balancer, which is configured as we ship or document it. The gateways notice
// each hang-up, and serve other clients.
func TestAbortBehindBalancers(t *testing.T) {
	for name, balance := range map[string]func(*testing.T, string, *gate, *gate){"haproxy": balance, "nginx": nginx} {
		t.Run(name, func(t *testing.T) {
			e := simulate(t, func(c *enginesim.Config) { c.Record = 100 })
			at := free(t, 3)
			settings := append(shared(e.URL(), redistest.StartTCP(t)), "SYNCGATE_CALLBACK_BASE_URL=http://"+at[2])
			a, b := serve(t, at[0], settings...), serve(t, at[1], settings...)
			balance(t, at[2], a, b)
			storm(t, caller(t, at[2], 10), 100, 10)
			parked := func() float64 { return a.metric("syncgate_parked_clients") + b.metric("syncgate_parked_clients") }
			for _, reset := range []bool{false, true} {
				clients := waiters(t, at[2], 4)
				eventually(t, "they wait", func() bool { return parked() == 4 })
				hangUp(clients, reset)
				eventually(t, fmt.Sprintf("their gateways have heard that they left, by a reset: %v", reset), func() bool { return parked() == 0 })
			}
			// syncgate_abandoned_total may have more: a client of the storm that closes its side in the moment of its reply.
			const trips, hungUp = "syncgate_trips_total", `outcome="hung_up"`
			if n := a.metric(trips, hungUp) + b.metric(trips, hungUp); n != 8 {
				t.Errorf("%v clients have hung up, not 8", n)
			}
			storm(t, caller(t, at[2], 10), 100, 10)
		})
	}
}

func hangUp(clients []net.Conn, reset bool) {
	for _, c := range clients {
		if reset {
			_ = c.(*net.TCPConn).SetLinger(0)
		}
		_ = c.Close()
	}
}

// waiters are clients that wait for a callback that does not come.
func waiters(t *testing.T, address string, n int) (clients []net.Conn) {
	t.Helper()
	for range n {
		clients = append(clients, waiter(t, address))
	}
	return clients
}

func waiter(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	body := `{"timeout":100,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"__sim":{"callback":"never"}}}]}`
	req, err := http.NewRequest(http.MethodPost, "http://"+address+signedPath(body), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := req.Write(c); err != nil {
		t.Fatal(err)
	}
	return c
}
