package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"syncgate/configs"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
	"syncgate/internal/enginesim"
	"syncgate/signer"
)

const demoHelp = `Runs a gateway and a simulated engine in one process, on this machine only and in memory, and prints commands to try it with and
the address of a page that shows what becomes of them. Each line of its log is a trip. SIGINT (Ctrl-C) or SIGTERM stops it.
`

const (
	demoLogin  = "demo"
	demoSecret = "demo-secret"
	// demoWork is how long the engine works: long enough to see that the client waits.
	demoWork = 300 * time.Millisecond

	demoPath = "/v1/greetings"

	// demoFeeds is a route as the adidas API guidelines have them. Callers need a key there, as subscriptions belong to them.
	demoFeeds = "/v1/feeds"
	demoKey   = "demo-key"
	// demoContainers is a route with view os1 that signs with hmac-sha256. The route one segment below it signs with concat-sha256.
	demoContainers = "/v1/containers"
	// demoRate is how many requests a second that route takes, so that its answers say what is left.
	demoRate = 20
	// demoSigning signs what is sent to receivers that have no secret of their own.
	demoSigning = "whsec_c3luY2dhdGUgZGVtbywgbm90IGEgc2VjcmV0IGF0IGFsbA=="

	demoTask    = `{"ops":[{"conv_id":1,"type":"create","obj":"task","data":{"hello":"world"}}]}`
	demoTimeout = `{"timeout":1,"ops":[{"conv_id":1,"type":"create","obj":"task","data":{"hello":"world","__sim":{"callback":"never"}}}]}`
)

func demo(p *program, fs *flag.FlagSet, args []string) error {
	listen := fs.String("listen", "127.0.0.1:0", "`address` of the gateway; port 0 takes a free one")
	admin := fs.String("admin", "127.0.0.1:0", "`address` of the admin listener: the page, metrics, and the commands that ask it; port 0 takes a free one")
	if err := parseFlags(fs, args, 0); err != nil {
		return err
	}
	if err := checkAddresses(*listen, *admin); err != nil {
		return err
	}
	ignoreSIGPIPE()
	public, err := freeAddress(*listen)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)

	e, err := startDemoEngine()
	if err != nil {
		return err
	}
	defer e.Close()
	c := demoConfig(public, *admin, e.URL())
	log, lines := newLog(p.err, c.Log)
	defer lines.finish()
	worker, err := startDemoWorker(log)
	if err != nil {
		return err
	}
	defer worker.Close()
	addDemoRoutes(c, worker.url)
	calls := newDemoCalls(c.Callback.BaseURL)
	defer calls.Close()
	n, err := start(c, log, lines, p.getenv, calls.path())
	if err != nil {
		return err
	}
	p.introduce(c.Callback.BaseURL, reachable(n.gateway.AdminAddr().String()), worker.url+demoInbox)
	return n.run(signals, nil)
}

func checkAddresses(listen, admin string) error {
	for _, of := range [][2]string{{"--listen", listen}, {"--admin", admin}} {
		_, port, err := net.SplitHostPort(of[1])
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return usageError(of[0] + ": must be an address such as 127.0.0.1:8080, with a port of at most 65535")
		}
	}
	return nil
}

// freeAddress finds a port where address has none, as the engine needs it before the gateway listens.
func freeAddress(address string) (string, error) {
	if _, port, err := net.SplitHostPort(address); err != nil || port != "0" {
		return address, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

func startDemoEngine() (*enginesim.Engine, error) {
	cfg := enginesim.Default()
	cfg.Credentials = map[string]string{demoLogin: demoSecret}
	cfg.Behaviour.Delay = enginesim.Range{Min: demoWork, Max: demoWork}
	return enginesim.Start(cfg)
}

func demoConfig(public, admin, engine string) *configs.Config {
	c := configs.Default()
	c.Listen.Public, c.Listen.Admin = public, admin
	c.Callback.BaseURL = "http://" + reachable(public)
	c.Engine.URL = engine
	c.Auth.Window = 0 // the printed lines stay good
	c.Auth.Credentials = []configs.Credential{{Credential: signer.Credential{Login: demoLogin, Secret: demoSecret}}}
	c.Listen.PublicURL = c.Callback.BaseURL
	c.Admin.Actions = true
	c.Drain.Delay, c.Drain.Timeout = 0, time.Second // nobody who stops a demo wants to wait
	c.Log.Format = "console"
	return c
}

// addDemoRoutes adds what a worker does. Results may be sent without TLS, and to this machine alone.
func addDemoRoutes(c *configs.Config, worker string) {
	c.Engines = []configs.OtherEngine{{Config: httpengine.Config{Name: "worker", Kind: httpengine.Kind, URL: worker + "/"}}}
	greetings := rest.DefaultRoute()
	greetings.Name, greetings.Path, greetings.Engine, greetings.Auth = "greetings", demoPath, "worker", rest.AuthNone
	feeds := rest.DefaultRoute()
	feeds.Name, feeds.Path, feeds.Engine, feeds.View, feeds.Subscriptions = "feeds", demoFeeds, "worker", rest.ViewHAL, true
	feeds.Wait.Default, feeds.Limits.Rate = 0, demoRate
	containers := rest.DefaultRoute()
	containers.Name, containers.Path, containers.Engine, containers.View = "containers", demoContainers, "worker", rest.ViewOS1
	containers.OS1.EventType, containers.OS1.Service = "CONTAINER_CREATED", "Container"
	concat := containers
	concat.Name, concat.Path, concat.OS1.Signature = "containers-concat", demoContainers+"/concat", signer.OS1Concat
	c.Routes = []rest.RouteConfig{greetings, feeds, containers, concat}
	c.Access = []rest.AccessConfig{{Name: "demo", Key: demoKey, Routes: []string{feeds.Name, containers.Name, concat.Name}}}
	c.Notify.SigningSecret, c.Notify.AllowHTTP, c.Notify.AllowNetworks = demoSigning, true, []string{"127.0.0.0/8", "::1/128"}
}

func (p *program) introduce(url, admin, inbox string) {
	line := func(body string) string {
		seconds := string(signer.AppendTime(nil, time.Now()))
		return curlCommand(url+signedPath(demoLogin, seconds, demoSecret, []byte(body)), []byte(body))
	}
	const body = `-H 'Content-Type: application/json' -d '{"hello":"world"}' `
	held := "curl -sS " + body + url + demoPath
	handed := `task=$(curl -s -o /dev/null -w '%header{location}' -H 'Prefer: respond-async' ` + body + url + demoPath + `); curl -sS -H 'Prefer: wait=10' "$task"`
	streamed := "curl -sSN -H 'Accept: text/event-stream' " + body + url + demoPath
	pushed := "curl -sS -H 'Authorization: Bearer " + demoKey + `' -H 'Content-Type: application/json' -d '{"hello":"world","callbackUrl":"` + inbox + `"}' ` + url + demoFeeds + "/tasks"
	printBriefly(p.out, fmt.Sprintf(`A gateway is on %s, and behind it a simulated engine. Ctrl-C stops both.
Watch it: http://%s/

Paste this into another terminal. The task's result is the answer:

%s

And this: the process never calls back, and the caller has given it one second:

%s

Routes need no protocol. This one waits for a worker that takes a second, and gets what the worker calls back with:

%s

This one does not wait. It gets a task, and asks for its result:

%s

And this one hears how far the worker is:

%s

This one subscribes: the result is sent to a URL. Here the URL is one of the demo itself, and the demo's log shows what came. The
demo allows receivers on this machine and without TLS. Other gateways allow them only by configuration. To run a receiver of your
own see docs/notifications.md:

%s

The login is %s, its secret %s: syncgate sign signs requests of your own. What the data's member __sim may
say is in syncgate engine --help. Metrics are on http://%s/metrics.
`, url, admin, line(demoTask), line(demoTimeout), held, handed, streamed, pushed, demoLogin, demoSecret, admin))
}
