package redis_test

import (
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

// secret is a password that no error may show.
const secret = "hunter2Zq9"

// unusable is a Redis that cannot be used, and what has to be said of it.
type unusable struct {
	cfg  redis.Config
	part string // what Ready names
	says string // what the line has of the server's words, or ours
	do   string // what it says to do
}

// withUser starts a server where a user has these rights, and gives a Config of that user.
func withUser(t *testing.T, rights ...string) redis.Config {
	t.Helper()
	s := redistest.StartTCP(t)
	if got := s.Do(append([]string{"ACL", "SETUSER", "app", "on", ">" + secret}, rights...)...); got != "+OK" {
		t.Fatalf("make a user: %s", got)
	}
	return config("redis://app:" + secret + "@" + s.Addr())
}

func modeOf(cfg redis.Config, mode string) redis.Config {
	cfg.Mode = mode
	return cfg
}

// rightsOf are those that docs/operations.md lists.
func rightsOf() []string {
	return []string{
		"resetchannels", "~syncgate:*", "&syncgate:*", "-@all",
		"+auth", "+select", "+info", "+config|get", "+subscribe", "+publish", "+evalsha", "+eval", "+get", "+set", "+del", "+unlink", "+exists",
		"+type", "+pttl", "+pexpire", "+rename", "+hset", "+hsetnx", "+hget", "+hmget", "+hgetall", "+hdel", "+hlen", "+hexists", "+hscan", "+sadd", "+smembers",
		"+rpush", "+lpop", "+lrange", "+llen",
	}
}

// refusals are causes that a server names itself.
func refusals(t *testing.T) map[string]unusable {
	locked := redistest.StartTCP(t, "--requirepass", secret+"-right")
	open := redistest.StartTCP(t)
	host, port, _ := net.SplitHostPort(open.Addr())
	replica := redistest.StartTCP(t, "--replicaof", host+" "+port)
	full := redistest.StartTCP(t, "--maxmemory", "1mb")
	full.Do("CONFIG", "SET", "maxmemory", "1")
	loading := redistest.StartQuoting(t, func([]string) string { return "-LOADING Redis is loading the dataset in memory" })
	old := redistest.StartQuoting(t, func(c []string) string {
		return "-ERR unknown command `" + c[0] + "`, with args beginning with: " + secret
	})
	masters := redistest.StartMasters(t, 3)
	sentinel := redistest.StartSentinel(t, "main", open)
	return map[string]unusable{
		"wrong password":       {config("redis://:" + secret + "@" + locked.Addr()), "redis: login", "WRONGPASS invalid", "password"},
		"wrong user":           {config("redis://nobody:" + secret + "@" + open.Addr()), "redis: login", "WRONGPASS invalid", "password"},
		"no password":          {config(locked.URL()), "redis: login", "NOAUTH Authentication required", "password"},
		"no channel":           {withUser(t, "+@all", "~*", "resetchannels"), "redis: subscription", "NOPERM", "docs/operations.md"},
		"other channels":       {withUser(t, "+@all", "~*", "resetchannels", "&other:*"), "redis: subscription", "NOPERM", "docs/operations.md"},
		"no publish":           {withUser(t, "+@all", "-publish", "~*", "&*"), "redis: publish", "NOPERM", "docs/operations.md"},
		"no keys":              {withUser(t, "+@all", "&*"), "redis: write", "NOPERM", "docs/operations.md"},
		"other keys":           {withUser(t, "+@all", "&*", "~other:*"), "redis: write", "NOPERM", "docs/operations.md"},
		"read only user":       {withUser(t, "+@all", "-@write", "&*", "~*"), "redis: write", "NOPERM", "docs/operations.md"},
		"no scripts":           {withUser(t, "+@all", "-@scripting", "&*", "~*"), "redis: scripts and commands", "NOPERM", "docs/operations.md"},
		"a command is missing": {withUser(t, append(rightsOf(), "-hsetnx")...), "redis: scripts and commands", "can't run this command", "docs/operations.md"},
		"no database":          {config(open.URL() + "/99"), "redis: data set", "DB index is out of range", "number of the database"},
		"replica":              {config(replica.URL()), "redis: master", "READONLY", "master"},
		"full":                 {config(full.URL()), "redis: memory", "OOM", "maxmemory"},
		"loading":              {config("redis://" + loading.Addr()), "redis: data set", "LOADING", "nothing if it ends"},
		"too old":              {config("redis://" + old.Addr()), "redis: mode", "unknown command", "Redis 5"},
		"a Cluster's server":   {config(masters[0].URL()), "redis: mode", "MOVED", "mode to cluster"},
		"a Sentinel":           {config(sentinel.URL()), "redis: mode", "unknown command", "Sentinel"},
		"no Cluster":           {modeOf(config(open.URL()), redis.Cluster), "redis: mode", "cluster support disabled", "redis.mode"},
		"no Sentinel":          {modeOf(config(open.URL()+"?master_name=main"), redis.Sentinel), "redis: mode", "unknown command", "redis.mode"},
		"unknown master":       {modeOf(config(sentinel.URL()+"?master_name="+secret), redis.Sentinel), "redis: master", "master_name", "master_name"},
	}
}

// silences are causes that we have to find out.
func silences(t *testing.T) map[string]unusable {
	cert, key := certificate(t)
	port := strconv.Itoa(redistest.FreePort(t))
	redistest.Start(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	plain := redistest.StartTCP(t)
	web := httptest.NewServer(nil)
	t.Cleanup(web.Close)
	mute, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	dead := "127.0.0.1:" + strconv.Itoa(redistest.FreePort(t))
	login := "app:" + secret + "@"
	return map[string]unusable{
		"dead port":             {config("redis://" + login + dead), "redis: connection", "connect to " + dead + ": connection refused", "check that the server runs"},
		"dead port, Cluster":    {modeOf(config("redis://"+login+dead), redis.Cluster), "redis: connection", "connection refused", "check that the server runs"},
		"dead sentinels":        {modeOf(config("redis://"+login+dead+"?master_name=main"), redis.Sentinel), "redis: connection", "connection refused", "check that the server runs"},
		"no such socket":        {config("unix:///nowhere/redis.sock"), "redis: connection", "no such file", "a Redis listens"},
		"no such name":          {config("redis://" + login + "nowhere.invalid:1"), "redis: connection", "cannot be resolved", "address"},
		"nobody answers":        {config("redis://" + login + mute.Addr().String()), "redis: connection", "timed out", "firewall"},
		"nobody answers to TLS": {config("rediss://" + login + mute.Addr().String()), "redis: connection", "TLS handshake", "redis:// without"},
		"TLS, none wanted":      {config("rediss://" + login + plain.Addr()), "redis: connection", "TLS", "redis:// without"},
		"no TLS":                {config("redis://" + login + "127.0.0.1:" + port), "redis: connection", "", "rediss:// with TLS"},
		"untrusted certificate": {config("rediss://" + login + "127.0.0.1:" + port), "redis: connection", "certificate", "trust"},
		"a web server":          {config("redis://" + login + web.Listener.Addr().String()), "redis: connection", "", "a Redis listens"},
	}
}

// TestRedisCannotBeUsed: whatever is wrong is said in one line that says what to do, and Ready names the part and never turns nil meanwhile.
func TestRedisCannotBeUsed(t *testing.T) {
	var all sync.WaitGroup
	defer all.Wait() // all at a time: each takes some seconds, and no processor
	for _, causes := range []map[string]unusable{refusals(t), silences(t)} {
		for what, u := range causes {
			all.Go(func() { t.Run(what, u.check) })
		}
	}
}

func (u unusable) check(t *testing.T) {
	t.Helper()
	lines := new(lines)
	began := time.Now()
	c, err := redis.New(u.cfg, nodeKeys(t), redis.Options{Changed: lines.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Shutdown(context.Background()) })
	never := func(when string) {
		if c.Ready() == nil || c.Admits() == nil {
			t.Fatalf("%s it was ready", when)
		}
	}
	correlatortest.Eventually(t, "it is reported", func() bool { never("before"); return len(lines.all()) > 0 })
	t.Logf("after %v: %v", time.Since(began).Round(time.Millisecond), lines.all()[0])
	probes := c.Probes()
	correlatortest.Eventually(t, "some more probes", func() bool { never("after"); return c.Probes() > probes+3 })
	said := lines.all()
	first, is := errors.AsType[*correlator.Unready](said[0])
	if !is || !errors.Is(first, correlator.ErrUnavailable) {
		t.Fatalf("said %v", said)
	}
	if len(said) > 1 {
		t.Errorf("said more than once: %v", said)
	}
	if first.Part != u.part || !strings.Contains(first.Error(), u.says) || !strings.Contains(first.Do, u.do) {
		t.Errorf("said of %q: %v. Do: %s", first.Part, first, first.Do)
	}
	quotesNothing(t, errors.New(first.Error()+first.Do+first.Part), secret)
	now, is := errors.AsType[*correlator.Unready](c.Ready())
	if !is || now.Part != u.part {
		t.Errorf("not ready as of %v", now)
	}
}

// lines are what Changed was called with.
type lines struct {
	mu   sync.Mutex
	said []error
}

func (l *lines) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, err)
}

func (l *lines) all() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]error(nil), l.said...)
}

// TestCauseChanges: another cause is another line, and the end of the trouble one more.
func TestCauseChanges(t *testing.T) {
	s := redistest.StartTCP(t, "--requirepass", secret)
	lines := new(lines)
	c, err := redis.New(config("redis://app:"+secret+"@"+s.Addr()), nodeKeys(t), redis.Options{Changed: lines.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Shutdown(context.Background()) })
	awaitLines := func(n int) {
		t.Helper()
		correlatortest.Eventually(t, strconv.Itoa(n)+" lines", func() bool { return len(lines.all()) >= n })
	}
	awaitLines(1)
	admin := func(args ...string) { s.DoAs(secret, args...) }
	admin("ACL", "SETUSER", "app", "on", ">"+secret, "+@all", "&*")
	awaitLines(2)
	admin("ACL", "SETUSER", "app", "~*")
	awaitLines(3)
	said := lines.all()
	if len(said) != 3 || said[2] != nil || !strings.Contains(said[0].Error(), "WRONGPASS") || !strings.Contains(said[1].Error(), "NOPERM") {
		t.Errorf("said %v", said)
	}
	awaitReady(t, c)
}

// TestRightsAreDocumented: the line of docs/operations.md is what the tests use.
func TestRightsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	if line := "ACL SETUSER syncgate on >PASSWORD " + strings.Join(rightsOf(), " ") + "\n"; !strings.Contains(string(text), line) {
		t.Errorf("docs/operations.md has not: %s", line)
	}
	for _, u := range []map[string]unusable{refusals(t), silences(t)} {
		for what, u := range u {
			if !strings.Contains(string(text), "`"+u.part+"`") {
				t.Errorf("%s: docs/operations.md does not explain %q", what, u.part)
			}
		}
	}
}

// TestEveryRightIsNeeded: without any one of the commands that docs/operations.md lists, but for those that it calls optional, Redis cannot be used, and that
// is found at the start.
func TestEveryRightIsNeeded(t *testing.T) {
	s := redistest.StartTCP(t)
	optional := []string{"+auth", "+select", "+info", "+config|get"}
	cfg := config("redis://app:" + secret + "@" + s.Addr())
	for _, right := range rightsOf() {
		command, is := strings.CutPrefix(right, "+")
		if !is || slices.Contains(optional, right) {
			continue
		}
		s.Do("SCRIPT", "FLUSH")
		s.Do(append(append([]string{"ACL", "SETUSER", "app", "reset", "on", ">" + secret}, rightsOf()...), "-"+command)...)
		_, err := redis.Examine(t.Context(), cfg)
		if u, is := errors.AsType[*correlator.Unready](err); !is || !strings.Contains(u.Do, "docs/operations.md") {
			t.Errorf("without %s: %v", command, err)
		}
	}
}

// TestLeastRights: the rights that docs/operations.md lists are enough for all that a node does.
func TestLeastRights(t *testing.T) {
	cluster := redistest.StartCluster(t)
	inCluster := append(rightsOf(), "+cluster|slots", "+ssubscribe", "+spublish", "+asking")
	if got := cluster.Do(append([]string{"ACL", "SETUSER", "app", "on", ">" + secret}, inCluster...)...); got != "+OK" {
		t.Fatalf("make a user: %s", got)
	}
	master := redistest.StartTCP(t)
	master.Do(append([]string{"ACL", "SETUSER", "app", "on", ">" + secret}, rightsOf()...)...)
	sentinel := redistest.StartSentinel(t, "main", master)
	if got := sentinel.Do("ACL", "SETUSER", "watcher", "on", ">"+secret, "-@all", "resetchannels", "&*", "+auth", "+ping", "+sentinel", "+subscribe"); got != "+OK" {
		t.Fatalf("make a user of the sentinel: %s", got)
	}
	for name, cfg := range map[string]redis.Config{
		"standalone": withUser(t, rightsOf()...),
		"sentinel": modeOf(config("redis://watcher:"+secret+"@"+sentinel.Addr()+"?master_name=main&username=app&password="+secret),
			redis.Sentinel),
		"cluster": modeOf(config("redis://app:"+secret+"@"+cluster.Addr()), redis.Cluster),
	} {
		t.Run(name, func(t *testing.T) { doAll(t, cfg) })
	}
}

// doAll has two nodes do all that they can.
func doAll(t *testing.T, cfg redis.Config) {
	t.Helper()
	home, other := start(t, cfg), start(t, cfg)
	for _, size := range []int{1, 6000} {
		trip := correlatortest.Once(correlator.Held)
		id := parkClaimed(t, home, newKey(), trip)
		waiter := attach(t, other, id)
		body := `"` + strings.Repeat("x", size) + `"`
		deliver(t, other, id, body)
		hears(t, trip, body, healed)
		hears(t, waiter, body, healed)
		if err := home.Save(t.Context(), id, completeRecord()); err != nil {
			t.Errorf("save: %v", err)
		}
	}
	k := newKey()
	id := parkClaimed(t, home, k, correlatortest.Once(correlator.Held))
	waiter := attach(t, other, id)
	if err := home.Release(t.Context(), k, id); err != nil {
		t.Errorf("release: %v", err)
	}
	if err := correlatortest.Next(t, waiter.Expired, "release"); !errors.Is(err, correlator.ErrReleased) {
		t.Errorf("expired with %v", err)
	}
	forgotten := park(t, home, correlatortest.Once(correlator.Held))
	home.Forget(forgotten)
	correlatortest.Eventually(t, "forgotten", func() bool {
		return errors.Is(other.Deliver(t.Context(), forgotten, correlatortest.Final(0, `1`)), correlator.ErrGone)
	})
}
