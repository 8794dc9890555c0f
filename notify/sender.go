package notify

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"syncgate/signer"
)

// Settings are what a reload may change. They count for the attempts that begin afterwards.
type Settings struct {
	Guard   *Guard        // which receivers are allowed
	Window  time.Duration // attempts are made for so long; 0: 24 h
	Timeout time.Duration // of an attempt, from the look-up of the name to the end of the answer's body; 0: 15 s
	TLS     *tls.Config   // of receivers; nil: the system's certificates
}

// Config is what a Sender needs.
type Config struct {
	Settings

	Sealer   *signer.Sealer
	Schedule []time.Duration // offsets of attempts; nil: DefaultSchedule
	Slots    int             // attempts that run at once in this process; 0: 512
	PerHost  int             // of them to one host and port; 0: 8. To one whose last attempt ran out of time: 1
	Poll     time.Duration   // between two looks for what other processes left; 0: 1 s
	// Grace is how long the storing of an outcome may take, twice: another process takes a notification over Timeout + 2 Grace + Poll after its attempt
	// began, at the latest, when this process was killed; and it does not while an outcome, heard in time, is stored within Grace after the
	// store is back. go-redis may take a second until it sees that, so 2 s is the least that keeps this promise through a restart of Redis. 0: 5 s.
	Grace time.Duration
	// Gone hears that a receiver answered 410, and has the subscription ended. Where it fails the notification stays open, and it
	// is asked again after the next attempt. It may be called twice. nil: nobody hears.
	Gone func(ctx context.Context, subscription string) error
	// Stands reports whether a subscription still stands; it is asked before each attempt of a notification that has one. false ends the
	// notification as Gone. Where it fails the attempt is made. nil: all stand.
	Stands func(ctx context.Context, subscription string) (bool, error)
	// Settled hears what came of each attempt once that is stored, and what state the notification has now. It is called on the attempt's goroutine, which keeps its
	// slot meanwhile; Close waits for it, so it must return soon. A process that is killed may not call it: Store.Show knows. nil: nobody hears.
	Settled func(id, subscription string, state State, last Attempt)
	// Trace is asked before each attempt of a notification whose Header has a traceparent. It gives the one that the attempt has in its place, and hears
	// then what came of the attempt; empty: the attempt has what the Header has, and nobody hears. nil: so have all. Neither may block.
	Trace func(traceparent string) (own string, ended func(Traced))
	// Metrics gets syncgate_notify_*. nil: nobody.
	Metrics prometheus.Registerer
	Log     zerolog.Logger
}

func (c Config) withDefaults() Config {
	c.Slots, c.PerHost = cmp.Or(c.Slots, defaultSlots), cmp.Or(c.PerHost, defaultHost)
	c.Poll, c.Grace = cmp.Or(c.Poll, time.Second), cmp.Or(c.Grace, 5*time.Second)
	if c.Schedule == nil {
		c.Schedule = DefaultSchedule()
	}
	return c
}

// Sender makes the attempts. All methods are safe for concurrent use.
type Sender struct {
	config   Config
	store    Store
	schedule schedule
	hosts    *hosts
	metrics  *metrics
	live     atomic.Pointer[live]

	poke     chan struct{} // has room for one
	stopping chan struct{} // closed by Close
	stopped  chan struct{} // closed by run
	once     sync.Once
	attempts sync.WaitGroup
	cut      context.Context // ends the attempts that run when Close cannot wait any longer
	cutAll   context.CancelFunc
	failing  bool // the last claim failed; run's alone
}

// live is Settings in use.
type live struct {
	Settings

	transport *http.Transport
}

// New makes a Sender that sends what a Store keeps, from now on until Close. It fails where the Config is not valid.
func New(store Store, c Config) (*Sender, error) {
	c = c.withDefaults()
	if c.Sealer == nil {
		return nil, errors.New("notify: a Sealer is needed")
	}
	if c.Slots < 0 || c.PerHost < 0 || c.Poll < 0 || c.Grace < 0 {
		return nil, errors.New("notify: Slots, PerHost, Poll and Grace must not be negative")
	}
	plan, err := newSchedule(c.Schedule)
	if err != nil {
		return nil, err
	}
	s := &Sender{
		config: c, store: store, schedule: plan, hosts: newHosts(c.Slots, c.PerHost),
		poke: make(chan struct{}, 1), stopping: make(chan struct{}), stopped: make(chan struct{}),
	}
	if err := s.Set(c.Settings); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(store, c.Metrics); err != nil {
		return nil, err
	}
	s.cut, s.cutAll = context.WithCancel(context.Background())
	go s.run()
	return s, nil
}

// Set replaces the Settings. It fails where they are not valid, and then changes nothing.
func (s *Sender) Set(c Settings) error {
	c.Window, c.Timeout = cmp.Or(c.Window, 24*time.Hour), cmp.Or(c.Timeout, 15*time.Second)
	if c.Guard == nil {
		return errors.New("notify: a Guard is needed")
	}
	if c.Window < 0 || c.Timeout < 0 {
		return errors.New("notify: window and timeout must not be negative")
	}
	next := &live{c, &http.Transport{
		DialContext:            c.dial,
		TLSClientConfig:        c.TLS,
		TLSHandshakeTimeout:    c.Timeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           s.config.Slots,
		MaxIdleConnsPerHost:    s.config.PerHost,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: maxAnswer,
	}}
	if before := s.live.Swap(next); before != nil {
		before.transport.CloseIdleConnections()
	}
	return nil
}

// dial connects within the time-out: a dial may outlive the attempt that began it.
func (c Settings) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return c.Guard.DialContext(ctx, network, address)
}

// Send stores a notification, whose first attempt is made at once. When it returns nil the notification is not lost as long as its Store loses nothing.
// It may be called again with the same notification: one whose id is known is not stored again. It fails with an *InvalidError, with a
// *RefusedError, with ErrFull, with ErrUnavailable, and then the notification may be stored or not, and with ErrClosed.
func (s *Sender) Send(ctx context.Context, n Notification) error {
	select {
	case <-s.stopping:
		return ErrClosed
	default:
	}
	r, err := n.record(s.live.Load().Guard, s.config.Sealer)
	if err != nil {
		return err
	}
	if err := s.store.Put(ctx, r); err != nil {
		return err
	}
	s.look()
	return nil
}

// Check reports whether a client may name this URL: a *RefusedError says why not.
func (s *Sender) Check(url string) error { return s.live.Load().Guard.Check(url) }

// Open reports whether any of these notifications is Open: there is an attempt to come, or one runs. Those that are unknown are not. It fails with
// ErrUnavailable.
func (s *Sender) Open(ctx context.Context, ids ...string) (bool, error) {
	return s.store.Open(ctx, ids)
}

// Retry is the Store's, and has this process look at once.
func (s *Sender) Retry(ctx context.Context, id string) error {
	err := s.store.Retry(ctx, id)
	s.look()
	return err
}

// look has run look for due notifications.
func (s *Sender) look() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

func (s *Sender) run() {
	defer close(s.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.stopping:
			return
		case <-s.poke:
		case <-timer.C:
		}
		timer.Reset(s.claimAll())
	}
}

// claimAll begins the attempts that are due, as far as there is room, and gives how long to wait until the next look.
func (s *Sender) claimAll() time.Duration {
	poll := s.config.Poll - time.Duration(rand.Int64N(int64(s.config.Poll)/4+1)) //nolint:gosec // it spreads looks and keeps no secret
	for {
		room := s.hosts.room()
		if room.Most <= 0 {
			return poll // the end of an attempt looks again
		}
		use, began := s.live.Load(), time.Now()
		room.Lease, room.Grace = use.Timeout+s.config.Grace, s.config.Grace
		ctx, cancel := context.WithTimeout(s.cut, s.config.Grace)
		jobs, next, err := s.store.Claim(ctx, room)
		cancel()
		s.report(err)
		for _, j := range jobs {
			s.hosts.begin(j.Host, len(j.Body))
			s.attempts.Go(func() { s.attempt(use, j, began.Add(s.config.Grace)) })
		}
		select {
		case <-s.stopping:
			return poll
		default:
		}
		if err != nil || len(jobs) == 0 {
			return max(min(next, poll), time.Millisecond)
		}
	}
}

// report says once that claims fail, and once that they succeed again.
func (s *Sender) report(err error) {
	switch {
	case err != nil && !s.failing:
		s.config.Log.Error().Err(err).Msg("notifications wait: their store does not answer")
	case err == nil && s.failing:
		s.config.Log.Info().Msg("notifications go on: their store answers again")
	}
	s.failing = err != nil
}

// Close begins no attempt any more and waits for those that run. When ctx ends first they are cut off and are due again at once, for another
// process; its error says so. It takes two seconds longer than ctx at the most. Idle connections are closed.
func (s *Sender) Close(ctx context.Context) error {
	s.once.Do(func() { close(s.stopping) })
	ended := make(chan struct{})
	go func() {
		<-s.stopped
		s.attempts.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = context.Cause(ctx)
		s.cutAll()
		<-ended
	}
	s.cutAll()
	s.metrics.unregister()
	s.live.Load().transport.CloseIdleConnections()
	return err
}
