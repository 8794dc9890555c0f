package notify_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"syncgate/internal/redistest"
	"syncgate/notify"
	"syncgate/signer"
)

const (
	secret     = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"             //nolint:gosec // the specification's example
	newSecret  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDMfKQ9r8GKYo=" //nolint:gosec // of this test
	sealingKey = "0123456789abcdef0123456789abcdef"
	grace      = 200 * time.Millisecond
	patience   = 20 * time.Second // what a test waits for at most
)

// stores are the makers of Stores that the contract is for. Each gives another handle on one store every time that the maker's result is called.
func stores(t *testing.T) map[string]func(t *testing.T, most int) func() notify.Store {
	server := redistest.Start(t, "--appendonly", "no")
	return map[string]func(t *testing.T, most int) func() notify.Store{
		"memory": func(_ *testing.T, most int) func() notify.Store {
			m := notify.NewMemory(most, 64<<20)
			return func() notify.Store { return m }
		},
		"redis": func(t *testing.T, most int) func() notify.Store {
			return func() notify.Store { return notify.NewRedis(client(t, server), t.Name(), most) }
		},
	}
}

func client(t testing.TB, server *redistest.Server) goredis.UniversalClient {
	c := goredis.NewClient(options(server.Addr()))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func options(addr string) *goredis.Options {
	network := "tcp"
	if addr[0] == '/' {
		network = "unix"
	}
	return &goredis.Options{Network: network, Addr: addr, Protocol: 2, DialTimeout: time.Second, ReadTimeout: time.Second, MaxRetries: 1, DisableIdentity: true}
}

// each runs a test of the contract for each Store.
func each(t *testing.T, test func(t *testing.T, open func() notify.Store)) {
	for name, start := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, 10_000))
		})
	}
}

func sealer() *signer.Sealer {
	s, err := signer.NewSealer([]string{sealingKey})
	if err != nil {
		panic(err)
	}
	return s
}

// local is a Guard that allows receivers of this machine.
func local() *notify.Guard {
	g, err := notify.NewGuard(notify.GuardConfig{AllowHTTP: true, AllowNetworks: networks("127.0.0.0/8")})
	if err != nil {
		panic(err)
	}
	return g
}

// quick is a Config whose times are short.
func quick() notify.Config {
	return notify.Config{
		Settings: notify.Settings{Guard: local(), Timeout: 300 * time.Millisecond, Window: time.Second},
		Sealer:   sealer(),
		Schedule: []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, 600 * time.Millisecond},
		Poll:     50 * time.Millisecond,
		Grace:    grace,
	}
}

// takeover is when another Sender takes over from one with a Config that was killed in the middle of an attempt, at the latest; a machine that does
// other things as well gets a second more.
func takeover(c notify.Config) time.Duration { return c.Timeout + 2*c.Grace + c.Poll + time.Second }

// sender runs a Sender until the end of the test.
func sender(t *testing.T, store notify.Store, c notify.Config) *notify.Sender {
	t.Helper()
	s, err := notify.New(store, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	return s
}

// request is what a receiver had.
type request struct {
	at     time.Time
	id     string
	header http.Header
	body   []byte
	path   string
}

// receiver keeps what it had. answer says what it answers to the nth request with an id, 1 for the first; nil: 200.
type receiver struct {
	*httptest.Server

	answer func(w http.ResponseWriter, r *http.Request, n int)

	mu   sync.Mutex
	had  []request
	of   map[string]int
	news chan struct{} // has room for one
	ends chan struct{} // closed at the end of the test
}

func receive(t testing.TB, answer func(w http.ResponseWriter, r *http.Request, n int)) *receiver {
	r := &receiver{answer: answer, of: make(map[string]int), news: make(chan struct{}, 1), ends: make(chan struct{})}
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		close(r.ends)
		r.CloseClientConnections()
		r.Close()
	})
	return r
}

// with answers a status.
func with(status int) func(w http.ResponseWriter, r *http.Request, n int) {
	return func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(status) }
}

// hangs answers nothing until the client or the test ends.
func (r *receiver) hang(req *http.Request) {
	select {
	case <-req.Context().Done():
	case <-r.ends:
	}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	id := req.Header.Get("webhook-id")
	r.mu.Lock()
	r.had = append(r.had, request{time.Now(), id, req.Header.Clone(), body, req.URL.RequestURI()})
	r.of[id]++
	n := r.of[id]
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
	if r.answer != nil {
		r.answer(w, req, n)
	}
}

func (r *receiver) requests() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.had...)
}

// counts gives how often each id came.
func (r *receiver) counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.of)
}

// came wants that so many ids came, each of them n times.
func (r *receiver) came(t testing.TB, ids, n int) {
	t.Helper()
	counts := r.counts()
	if len(counts) != ids {
		t.Errorf("%d ids came, want %d", len(counts), ids)
	}
	for id, times := range counts {
		if times != n {
			t.Errorf("%s came %d times, want %d", id, times, n)
		}
	}
}

// await waits until the receiver had n requests.
func (r *receiver) await(t testing.TB, n int) []request {
	t.Helper()
	eventually(t, "requests arrive", func() bool { return len(r.requests()) >= n })
	return r.requests()
}

// eventually polls until ok, or fails the test.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	end := time.After(patience)
	for !ok() {
		select {
		case <-poll.C:
		case <-end:
			t.Fatalf("%s: not in %v", what, patience)
		}
	}
}

// becomes waits until a notification is in a state.
func becomes(t testing.TB, store notify.Store, id string, state notify.State) notify.Entry {
	t.Helper()
	var e notify.Entry
	eventually(t, id+" is "+string(state), func() bool {
		var err error
		e, err = store.Show(t.Context(), id)
		return err == nil && e.State == state && !e.Sending
	})
	return e
}

// hook is a Notification for a receiver.
func hook(r *receiver) notify.Notification {
	return notify.Notification{ID: notify.NewID(), Subscription: "sub-1", Trip: "trip-1", URL: r.URL + "/hook", Body: []byte(`{"a":1}`), Secrets: []signer.Secret{secret}}
}

func send(t testing.TB, s *notify.Sender, n notify.Notification) {
	t.Helper()
	if err := s.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// verify has the specification's reference library check a request.
func verify(t testing.TB, r request, secret string) {
	t.Helper()
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Verify(r.body, r.header); err != nil {
		t.Errorf("the signature: %v", err)
	}
}

// logs is a log that a test reads.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
