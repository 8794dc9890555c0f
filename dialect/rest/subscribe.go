package rest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/notify"
	"syncgate/signer"
)

const (
	// keepOnce is for how long after the last change of its task a subscription of one task can be Active: a result that cannot be handed over is tried for a week,
	// and a receiver for the window of notifications. What is Active then is of a task that was lost.
	keepOnce = 14 * 24 * time.Hour
	// subscriptionsSegment stands behind the path of a route: there its subscriptions are.
	subscriptionsSegment = "tasks"
	// subscriptionParts are tasks/{uuid}.
	subscriptionParts = 2
)

// subscribing is a request that names a receiver. It is Options.Own of its call.
type subscribing struct {
	sub      notify.Subscription // complete when it was registered; without a Mode the request makes no subscription
	most     int                 // that the owner may have
	path     string              // of the route's subscriptions, as the client wrote it
	unsigned bool                // neither the client nor its entry has a secret
	made     signer.Secret       // a secret that the client has to be shown
}

// addressed is who is to have the result of a call beside the client that sent it.
type addressed struct {
	push *pushed    // nil: the route has no subscriptions
	os1  *os1Wishes // nil: the route has another view than os1
}

// isAsync reports whether the client of a call is answered without waiting for its result. wants is the form that it prefers.
func (a *addressed) isAsync(wants string) bool {
	switch {
	case a.push != nil:
		return a.push.Once || a.push.URL != ""
	case a.os1 != nil:
		return a.os1.state.URL != "" || a.os1.state.Events && wants != typeEvents
	}
	return false
}

// pushedOf says who is to have the result of a call, nil for a route without subscriptions.
func (d *Dialect) pushedOf(c *dialect.Call, r *route, w *wish) *pushed {
	if !r.Subscriptions {
		return nil
	}
	p := &pushed{Group: groupOf(c.Login, r.Name, c.Options.Asked.Params)}
	switch {
	case w.continuous:
	case r.role == subscribes:
		p.Once = true
	case w.url != "":
		p.URL = w.url
		if w.secret != "" {
			p.Secret = d.outside.Push.Sealer.Seal(nil, []byte(w.secret), secretUse(c.Login, r.Name, w.url))
		}
	}
	return p
}

// secretUse is what the secret of a receiver is sealed for.
func secretUse(login, route, url string) []byte {
	return []byte("receiver\n" + login + "\n" + route + "\n" + url)
}

// subscriber is who asks for a subscription.
type subscriber struct {
	by  *caller // nil: no entry of access
	key string  // Idempotency-Key; empty: none
	now time.Time
}

// subscribe completes a call to a route with subscriptions.
func subscribe(c *dialect.Call, r *route, w *wish, push *pushed, by subscriber) {
	o := c.Options
	o.Pushes = true
	own := &subscribing{most: r.Limits.Subscriptions, unsigned: w.secret == "" && (by.by == nil || by.by.signing == "")}
	switch {
	case r.role == subscribes:
		own.path = string(o.Asked.Path)
		o.Asked.Path = o.Asked.Path[:bytes.LastIndexByte(o.Asked.Path, '/')] // the engine gets the task as if it came without
		own.sub = notify.Subscription{
			Owner: ownerOf(c.Login, r.Name), Group: push.Group, Mode: notify.Once, URL: w.url, State: notify.Active, Created: by.now,
		}
		if w.secret != "" {
			own.sub.Secrets = []signer.Secret{w.secret}
		}
	case w.url == "":
		return
	}
	o.Own = own
	if !w.continuous {
		return
	}
	own.sub.Mode, own.sub.ID = notify.Continuous, randomUUID()
	if by.key != "" {
		own.sub.ID = derivedUUID("key", c.Login, r.Name, by.key)
	}
	c.Ops, o.Asked, o.Mode, o.Applied, c.Fingerprint = nil, nil, dialect.Hold, "", nil // nothing is waited for, whatever is preferred
}

// ownerOf is who has a subscription: a caller on one route, as a route's limit is for each caller. A name of a route has no "@".
func ownerOf(login, route string) string {
	const most = 256
	owner := login + "@" + route
	if len(owner) <= most {
		return owner
	}
	sum := digestOf("owner", login)
	return hex.EncodeToString(sum[:]) + "@" + route
}

// groupOf names the tasks of one caller on a route with the same parameters of its path.
func groupOf(login, route string, params []dialect.Param) string {
	parts := []string{"group", login, route}
	for _, p := range params {
		parts = append(parts, p.Name, p.Value)
	}
	sum := digestOf(parts...)
	return hex.EncodeToString(sum[:])
}

// digestOf is the same for the same parts alone.
func digestOf(parts ...string) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, part := range parts {
		writePart(h, part)
	}
	h.Sum(sum[:0])
	return sum
}

func writePart(h hash.Hash, part string) {
	h.Write(append(strconv.AppendInt(nil, int64(len(part)), 10), ':'))
	h.Write([]byte(part))
}

// onceUUID is that of the subscription of one task. A repeat of the request that made the task finds it.
func onceUUID(task string) string { return derivedUUID("once", task) }

// derivedUUID is the same for the same parts (RFC 9562, version 8).
func derivedUUID(parts ...string) string {
	sum := digestOf(parts...)
	return uuid([16]byte(sum[:16]), 8)
}

// randomUUID is one that nobody can guess (RFC 9562, version 4).
func randomUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the runtime stops the process instead
	return uuid(b, 4)
}

func uuid(b [16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Register keeps the subscription that a call asks for, if it asks for one.
func (d *Dialect) Register(ctx context.Context, c *dialect.Call, task string) error {
	own, ok := c.Options.Own.(*subscribing)
	if !ok || own.sub.Mode == "" {
		return nil
	}
	all, s := d.outside.Push.Subscriptions, own.sub
	if s.Mode == notify.Once {
		s.ID, s.Task = onceUUID(task), task
		if last := c.Options.Lasts; !last.IsZero() {
			s.Until = last.Add(keepOnce)
		}
	}
	var made signer.Secret
	if own.unsigned && s.URL != "" {
		made = signer.NewWebhookSecret()
		s.Secrets = []signer.Secret{made}
	}
	if err := all.Add(ctx, s, own.most); err != nil {
		return subscriptionFault(err, c.Login)
	}
	kept, err := all.Get(ctx, s.ID) // with its topic; and another one where the key was used before
	if err != nil {
		return subscriptionFault(err, c.Login)
	}
	if !sameWish(&kept, &own.sub) {
		return correlator.ErrOtherBody
	}
	if made != "" && len(kept.Secrets) == 1 && kept.Secrets[0] == made {
		own.made = made
	}
	own.sub = kept
	return nil
}

// sameWish reports whether a subscription that is there is what a request asks for.
func sameWish(kept, asked *notify.Subscription) bool {
	secret := len(asked.Secrets) == 0 || len(kept.Secrets) == 1 && kept.Secrets[0] == asked.Secrets[0]
	return kept.Owner == asked.Owner && kept.Group == asked.Group && kept.Mode == asked.Mode && kept.URL == asked.URL && secret
}

// subscriptionFault words why a subscription is not kept, or cannot be read.
func subscriptionFault(err error, login string) error {
	var f *dialect.Fault
	switch {
	case errors.Is(err, notify.ErrQuota):
		f = notAccepted("as many subscriptions of this route as this caller may have are active: cancel one, or wait until one ends")
	case errors.Is(err, notify.ErrNoTopics):
		f = notAccepted("topics need Redis, which this gateway does not use: name a %s", memberURL)
	case errors.Is(err, notify.ErrUnavailable):
		return fmt.Errorf("%w: %w", correlator.ErrUnavailable, err)
	case errors.Is(err, notify.ErrFull):
		return fmt.Errorf("%w: %w", correlator.ErrFull, err)
	default:
		return fmt.Errorf("keep a subscription: %w", err)
	}
	f.Login, f.Err = login, err
	return f
}

// Forget ends the subscription of a task that was not made.
func (d *Dialect) Forget(ctx context.Context, c *dialect.Call, task string) {
	if own, ok := c.Options.Own.(*subscribing); ok && own.sub.Mode == notify.Once && d.outside.Push.works() {
		_ = d.outside.Push.Subscriptions.End(ctx, onceUUID(task), notify.Ended) // one that stays counts for its owner until that cancels it
	}
}

// subscribed answers a request that names a receiver, if its task was made, or none was to be. A result that is there already goes to the receiver alone.
func (d *Dialect) subscribed(dst *fasthttp.Response, own *subscribing, s *state, r *dialect.Reply) bool {
	if own.sub.Mode == notify.Continuous {
		d.created(dst, own, own.sub.ID, r)
		return true
	}
	goesOn := final(r) || errors.Is(r.Open, dialect.ErrHandedOver) || errors.Is(r.Open, dialect.ErrPending) || errors.Is(r.Open, correlator.ErrDeadline)
	switch {
	case r.Task == "" || !goesOn:
		return false
	case own.sub.Mode == notify.Once:
		d.created(dst, own, onceUUID(r.Task), r)
	default:
		d.accepted(dst, s, r)
	}
	return true
}

// created is the 201 of a subscription.
func (d *Dialect) created(dst *fasthttp.Response, own *subscribing, id string, r *dialect.Reply) {
	at := own.path + "/" + id
	body := subscriptionBody{Message: "The subscription is active", UUID: id, Topic: own.sub.Topic, SigningSecret: string(own.made)}
	body.Links.Self.Href = at
	if r.Task != "" {
		body.Links.Task.Href = taskPath + r.Task
	}
	if own.sub.State != notify.Active {
		body.Message = messageOf(own.sub.State)
	}
	writeJSON(dst, typeHAL, &body)
	dst.SetStatusCode(fasthttp.StatusCreated)
	dst.Header.Set("Location", d.current.Load().publicURL+at)
}
