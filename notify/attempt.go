package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"syncgate/signer"
)

// maxAnswer is how much is read of the head of an answer, and of its body.
const maxAnswer = 64 << 10

// Outcome is what came of an attempt, as metrics and logs name it.
type Outcome string

// The values of Outcome.
const (
	OutcomeDelivered   Outcome = "delivered"   // 2xx
	OutcomeRefused     Outcome = "refused"     // 403
	OutcomeGone        Outcome = "gone"        // 410
	OutcomeStatus      Outcome = "status"      // any other status
	OutcomeTimeout     Outcome = "timeout"     // no status in time
	OutcomeUnreachable Outcome = "unreachable" // no connection, or one that broke before there was a status
	OutcomeBlocked     Outcome = "blocked"     // the Guard allows the receiver no more, or none of its addresses
	OutcomeUnreadable  Outcome = "unreadable"  // what is stored cannot be opened
	OutcomeEnded       Outcome = "ended"       // the subscription stands no more; nothing was sent
	OutcomeCut         Outcome = "cut"         // Close cut it off, or the process was stopped before it began
)

func outcomes() []Outcome {
	return []Outcome{
		OutcomeDelivered, OutcomeRefused, OutcomeGone, OutcomeStatus, OutcomeTimeout, OutcomeUnreachable, OutcomeBlocked, OutcomeUnreadable,
		OutcomeEnded, OutcomeCut,
	}
}

// attempt makes one attempt of a claimed notification and stores what came of it before anything else. After latest it makes none: a process that was
// stopped meanwhile has lost the claim.
func (s *Sender) attempt(use *live, j Job, latest time.Time) {
	slow := false
	defer func() { s.end(j, slow, recover()) }()
	ctx, cancel := context.WithTimeout(s.cut, use.Timeout)
	defer cancel()
	last := Attempt{At: time.Now(), Number: j.Attempt}
	var answer *http.Response
	err := errLate
	var ended func(Traced)
	if last.At.Before(latest) {
		answer, ended, err = s.try(ctx, use, j)
	}
	last.Duration = time.Since(last.At)
	v := s.judge(ctx, j, last, answer, err)
	slow = v.Last.Outcome == OutcomeTimeout
	stored := s.settle(v)
	if answer != nil {
		inTime := ctx.Err() == nil
		discard(answer)
		slow = inTime && errors.Is(ctx.Err(), context.DeadlineExceeded)
	}
	s.metrics.count(v.Last.Outcome)
	s.logAttempt(j, v)
	if ended != nil {
		scheme, _, _ := strings.Cut(j.URL, ":")
		ended(Traced{Attempt: v.Last, ID: j.ID, Subscription: j.Subscription, Scheme: strings.ToLower(scheme), Host: j.Host})
	}
	if stored && s.config.Settled != nil {
		s.config.Settled(j.ID, j.Subscription, v.State, v.Last)
	}
}

// Traced is an attempt as Config.Trace hears of it.
type Traced struct {
	Attempt

	ID, Subscription string // of the notification
	Scheme, Host     string // of the receiver; Host has the port
}

// discard reads the rest of an answer, which says nothing, so that its connection can be used again. The body of a 101 is the connection itself, and
// no time-out ends a read of that: it is closed at once.
func discard(answer *http.Response) {
	if answer.StatusCode != http.StatusSwitchingProtocols {
		_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer)
	}
	_ = answer.Body.Close()
}

// end gives the slot of an attempt back. One that panicked before its outcome was stored is made again when its lease has ended.
func (s *Sender) end(j Job, slow bool, panicked any) {
	if panicked != nil {
		s.logPanic(j, panicked)
	}
	s.hosts.end(j.Host, len(j.Body), slow)
	s.look()
}

func (s *Sender) logPanic(j Job, panicked any) {
	s.config.Log.Error().Str("panic", fmt.Sprintf("%T", panicked)).Bytes("stack", debug.Stack()).Str("id", j.ID).Msg("an attempt panicked")
}

// ask calls a function of the Config. One that panics has failed: so the schedule counts the attempt, and the notification does not stay open for ever.
func (s *Sender) ask(j Job, hook func() error) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			s.logPanic(j, panicked)
			err = errPanicked
		}
	}()
	return hook()
}

var (
	errPanicked = errors.New("a function of the Config panicked")
	errEnded    = errors.New("the subscription has ended")
	errLate     = errors.New("the claim is too old")
)

// try sends the request. It gives the answer with its body unread, and the function that is to hear of the attempt; nil: it is not traced.
func (s *Sender) try(ctx context.Context, use *live, j Job) (answer *http.Response, ended func(Traced), err error) {
	req, err := s.request(ctx, use, j)
	if err != nil {
		return nil, nil, err
	}
	if parent := req.Header.Get("Traceparent"); parent != "" && s.config.Trace != nil {
		var own string
		if own, ended = s.config.Trace(parent); own != "" {
			req.Header.Set("Traceparent", own)
		}
	}
	answer, err = use.transport.RoundTrip(req) // it follows no redirect
	return answer, ended, err
}

// request makes the request of an attempt, unless nothing is to be sent.
func (s *Sender) request(ctx context.Context, use *live, j Job) (*http.Request, error) {
	header, keys, err := j.open(s.config.Sealer)
	if err != nil {
		return nil, &unreadableError{err}
	}
	if s.config.Stands != nil && j.Subscription != "" {
		stands := true
		err := s.ask(j, func() (err error) {
			stands, err = s.config.Stands(ctx, j.Subscription)
			return err
		})
		if err == nil && !stands {
			return nil, errEnded
		}
	}
	u, err := use.Guard.parse(j.URL)
	if err != nil {
		return nil, err
	}
	u.Fragment, u.RawFragment = "", ""
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(j.Body))
	if err != nil {
		return nil, refused("it is not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "syncgate")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	sign(req.Header, j, keys)
	return req, nil
}

// sign sets the headers of Standard Webhooks: the same id each time, a new timestamp.
func sign(h http.Header, j Job, keys [][]byte) {
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	h.Set("Webhook-Id", j.ID)
	h.Set("Webhook-Timestamp", stamp)
	if len(keys) > 0 {
		h.Set("Webhook-Signature", string(signer.AppendWebhookSignatures(nil, []byte(j.ID), []byte(stamp), j.Body, keys)))
	}
}

// judge decides what becomes of a notification.
func (s *Sender) judge(ctx context.Context, j Job, last Attempt, answer *http.Response, err error) Verdict {
	v := Verdict{ID: j.ID, Host: j.Host, Token: j.Token, State: Open, Last: last}
	var retryAfter time.Duration
	if err != nil {
		v.Last.Outcome, v.Last.Error = s.classify(ctx, err)
		if v.Unsent = errors.Is(err, errEnded) || errors.Is(err, errLate); v.Unsent {
			v.Last.Number--
		}
	} else {
		v.Last.Status = answer.StatusCode
		v.State, v.Last.Outcome = s.classifyStatus(answer.StatusCode)
		retryAfter = delayOf(answer)
	}
	switch {
	case v.Last.Outcome == OutcomeCut: // it is another process's turn, and at once
		v.Step = j.Step
		return v
	case v.Last.Outcome == OutcomeEnded:
		v.State = Gone
	case v.State == Gone && s.config.Gone != nil && j.Subscription != "":
		if err := s.ask(j, func() error { return s.config.Gone(ctx, j.Subscription) }); err != nil {
			v.State, v.Last.Error = Open, "the subscription could not be ended"
		}
	}
	if v.State != Open {
		return v
	}
	age := j.Age + time.Since(last.At)
	after, step, ok := s.schedule.next(j.Step, age, s.live.Load().Window, retryAfter, rand.Float64()) //nolint:gosec // jitter is no secret
	if !ok {
		v.State = Dead
	}
	v.After, v.Step = after, step
	return v
}

func (s *Sender) classifyStatus(status int) (State, Outcome) {
	switch {
	case status >= 200 && status < 300:
		return Delivered, OutcomeDelivered
	case status == http.StatusForbidden:
		return Refused, OutcomeRefused
	case status == http.StatusGone:
		return Gone, OutcomeGone
	default:
		return Open, OutcomeStatus
	}
}

// delayOf gives the Retry-After of a 429 or 503: seconds, or a date.
func delayOf(answer *http.Response) time.Duration {
	if answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	text := answer.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		const most = 1 << 30 // seconds; a Duration has room for more
		return time.Duration(min(seconds, most)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// settle stores a verdict, and tries until it is stored, so that a 2xx that was heard is known whenever the store is back. While Close waits no longer it has
// a second left. It reports whether it is stored.
func (s *Sender) settle(v Verdict) bool {
	const most = time.Second
	for wait := min(20*time.Millisecond, s.config.Grace/10); ; wait = min(2*wait, s.config.Grace/10) {
		ctx, cancel := context.WithTimeout(context.Background(), most)
		err := s.store.Finish(ctx, v)
		cancel()
		if err == nil {
			return true
		}
		select {
		case <-s.cut.Done():
			s.config.Log.Error().Err(err).Str("id", v.ID).Str("outcome", string(v.Last.Outcome)).Msg("the outcome of an attempt is not stored: another process makes it again")
			return false
		case <-time.After(wait):
		}
	}
}

func (s *Sender) logAttempt(j Job, v Verdict) {
	line := s.config.Log.Info().Str("trip", j.Trip).Str("subscription", j.Subscription).Str("id", j.ID).Str("host", j.Host).Int("attempt", v.Last.Number).
		Str("outcome", string(v.Last.Outcome)).Str("state", string(v.State)).Dur("took", v.Last.Duration)
	if v.Last.Status > 0 {
		line = line.Int("status", v.Last.Status)
	}
	if v.Last.Error != "" {
		line = line.Str("error", v.Last.Error)
	}
	if v.State == Open {
		line = line.Dur("next", v.After)
	}
	line.Msg("notification")
}
