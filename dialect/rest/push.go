package rest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/notify"
	"syncgate/signer"
)

// Sender sends notifications.
type Sender interface {
	// Check reports whether a client may name this URL: a *notify.RefusedError says why not.
	Check(url string) error
	// Send has a notification sent: once, however often it is called with the same ID.
	Send(ctx context.Context, n notify.Notification) error
	// Open reports whether any of these notifications is still to be delivered.
	Open(ctx context.Context, ids ...string) (bool, error)
}

// Push is what routes with subscriptions need. Without a Sender there can be none. Sender, Subscriptions and Sealer are set together: before New, or
// before the Set that brings the first such route; from then on they do not change.
type Push struct {
	Sender        Sender
	Subscriptions notify.Subscriptions
	Sealer        *signer.Sealer // seals secrets that are recorded with tasks

	secrets atomic.Pointer[[]signer.Secret]
}

// works reports whether results can be pushed.
func (p *Push) works() bool { return p != nil && p.Sender != nil }

// SetSecrets replaces the secrets that sign notifications which have none of their own, nor one of their caller: all of them sign. They are
// whsec_…, at most 8. Safe for concurrent use.
func (p *Push) SetSecrets(secrets []signer.Secret) {
	own := slices.Clone(secrets)
	p.secrets.Store(&own)
}

// errNoPush is about a task whose results another node can push.
var errNoPush = errors.New("routes here push no results, and this task was made by one that does: add the route to this node")

// receiver is who is to have a result.
type receiver struct {
	uuid  string // of the subscription, or the id of the task
	id    string // of the notification
	n     notify.Notification
	sub   *notify.Subscription // nil: the request itself named the URL
	topic bool
	trace string // traceparent of the request that made the task; empty: it is not recorded
}

// Push hands a result over for all who are to have it. Its error joins those of the receivers that have to be tried again.
func (d *Dialect) Push(ctx context.Context, c *dialect.Call, r *dialect.Reply, own func(dst *fasthttp.Response)) error {
	s := d.current.Load().stateOf(stateBytes(c))
	all, err := d.receivers(ctx, c, &s, r.Task)
	if err != nil || len(all) == 0 {
		return err
	}
	for i := range all {
		all[i].trace = r.Trace
	}
	if s.os1 != nil {
		return d.callBack(ctx, c, &all[0], s.os1, r)
	}
	reply := worded(own)
	defer fasthttp.ReleaseResponse(reply)
	said := notificationOf(&s, r, reply)
	var failed []error
	for i := range all {
		err := d.sign(c, &s, &all[i])
		if err == nil {
			err = d.handOver(ctx, &all[i], said)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// Delivering reports whether a receiver of a result may still get it. A subscription for this task alone ends when it may not.
func (d *Dialect) Delivering(ctx context.Context, c *dialect.Call, r *dialect.Reply) (bool, error) {
	s := d.current.Load().stateOf(stateBytes(c))
	all, err := d.receivers(ctx, c, &s, r.Task)
	if err != nil {
		return false, err
	}
	var ids []string
	for i := range all {
		if !all[i].topic {
			ids = append(ids, all[i].id)
		}
	}
	if len(ids) == 0 {
		return false, nil
	}
	open, err := d.outside.Push.Sender.Open(ctx, ids...)
	if err != nil || open {
		return open, err
	}
	for i := range all {
		if sub := all[i].sub; sub != nil && sub.Mode == notify.Once {
			return false, d.end(ctx, sub.ID, stateAfter(sub.Last))
		}
	}
	return false, nil
}

// stateAfter is where a subscription stands that has no attempt to come. A delivery may not be noted: the process that heard of it was killed.
func stateAfter(last *notify.Attempt) notify.SubscriptionState {
	if last != nil && last.Outcome != notify.OutcomeDelivered {
		return notify.Ended
	}
	return notify.Completed
}

// end ends a subscription, which may have ended before.
func (d *Dialect) end(ctx context.Context, id string, state notify.SubscriptionState) error {
	err := d.outside.Push.Subscriptions.End(ctx, id, state)
	if errors.Is(err, notify.ErrUnknown) || errors.Is(err, notify.ErrInactive) {
		return nil
	}
	return err
}

// receivers gives who is to have the result of a task now.
func (d *Dialect) receivers(ctx context.Context, c *dialect.Call, s *state, task string) (all []receiver, err error) {
	p := d.outside.Push
	switch {
	case s.Push == nil && (s.os1 == nil || s.os1.URL == ""):
		return nil, nil
	case !p.works():
		return nil, errNoPush
	case s.os1 != nil:
		return []receiver{{uuid: task, id: notificationID(task, ""), n: notify.Notification{URL: s.os1.URL}}}, nil
	}
	if s.Push.URL != "" {
		all = append(all, receiver{uuid: task, id: notificationID(task, ""), n: notify.Notification{URL: s.Push.URL}})
	}
	subs, err := p.Subscriptions.Match(ctx, ownerOf(c.Login, c.Options.Route), s.Push.Group)
	if err != nil {
		return nil, err
	}
	if s.Push.Once {
		once, err := p.Subscriptions.Get(ctx, onceUUID(task))
		switch {
		case errors.Is(err, notify.ErrUnknown):
		case err != nil:
			return nil, err
		case once.State == notify.Active:
			subs = append(subs, once)
		}
	}
	for i := range subs {
		sub := &subs[i]
		all = append(all, receiver{
			uuid: sub.ID, id: notificationID(task, sub.ID), sub: sub, topic: sub.URL == "",
			n: notify.Notification{Subscription: sub.ID, URL: sub.URL, Secrets: sub.Secrets},
		})
	}
	return all, nil
}

// sign gives a notification its secrets: those of the receiver, or else of the caller.
func (d *Dialect) sign(c *dialect.Call, s *state, to *receiver) error {
	if to.sub == nil && len(s.Push.Secret) > 0 {
		secret, err := d.outside.Push.Sealer.Open(nil, s.Push.Secret, secretUse(c.Login, c.Options.Route, s.Push.URL))
		if err != nil {
			return fmt.Errorf("the secret of a receiver, sealed by a key of callback.keys: %w", err)
		}
		to.n.Secrets = []signer.Secret{signer.Secret(secret)}
	}
	if len(to.n.Secrets) == 0 {
		to.n.Secrets = d.secretsOf(c.Login)
	}
	return nil
}

// secretsOf gives what signs for receivers of a caller that have no secret of their own.
func (d *Dialect) secretsOf(login string) []signer.Secret {
	if by := d.current.Load().callers.named[login]; by != nil && by.signing != "" {
		return []signer.Secret{by.signing}
	}
	if all := d.outside.Push.secrets.Load(); all != nil {
		return *all
	}
	return nil
}

// notificationID is the same for the same task and subscription: so nobody hears of a task twice, whichever nodes push it.
func notificationID(task, subscription string) string {
	sum := digestOf("notification", task, subscription)
	return "msg_" + hex.EncodeToString(sum[:16])
}

// tripName is how much of a task's id logs show.
const tripName = 8

// handOver gives a notification to the sender, or to the topic of its subscription. An error is one after which it is worth trying again.
func (d *Dialect) handOver(ctx context.Context, to *receiver, said *notification) error {
	p := d.outside.Push
	if to.topic {
		err := p.Subscriptions.Append(ctx, to.sub.ID, to.id, said.encode(to.uuid))
		switch {
		case errors.Is(err, notify.ErrUnknown), errors.Is(err, notify.ErrInactive):
			return nil
		case err != nil:
			return fmt.Errorf("append to a topic: %w", err)
		case to.sub.Mode == notify.Once:
			return d.end(ctx, to.sub.ID, notify.Completed)
		}
		return nil
	}
	to.n.Body, to.n.Header = said.encode(to.uuid), map[string]string{fasthttp.HeaderContentType: typeHAL}
	return d.send(ctx, to, said.task)
}

// send gives a notification that was worded to the sender.
func (d *Dialect) send(ctx context.Context, to *receiver, task string) error {
	to.n.ID, to.n.Trip = to.id, task[:min(len(task), tripName)]
	if to.trace != "" {
		to.n.Header["Traceparent"] = to.trace // each attempt has its own span below this one
	}
	err := d.outside.Push.Sender.Send(ctx, to.n)
	_, refused := errors.AsType[*notify.RefusedError](err)
	_, invalid := errors.AsType[*notify.InvalidError](err)
	if refused || invalid {
		return d.unsendable(ctx, to, err)
	}
	return err
}

// unsendable notes that a subscription's receiver cannot be sent to.
func (d *Dialect) unsendable(ctx context.Context, to *receiver, why error) error {
	if to.sub == nil {
		return nil
	}
	last := notify.Attempt{At: time.Now(), Outcome: notify.OutcomeBlocked, Error: why.Error()}
	if err := d.outside.Push.Subscriptions.Note(ctx, to.sub.ID, last); err != nil {
		return err
	}
	if to.sub.Mode == notify.Once {
		return d.end(ctx, to.sub.ID, notify.Ended)
	}
	return nil
}

// notification is what a receiver hears of a task, but for the UUID.
type notification struct {
	task, status string
	data         []byte // JSON; nil: it is too large
}

// notificationOf words a result. reply is what its client would get.
func notificationOf(s *state, r *dialect.Reply, reply *fasthttp.Response) *notification {
	n := &notification{task: r.Task, data: eventData(reply)}
	switch outcome(s, r) {
	case succeeded:
		n.status = "Succeeded"
	case cancelled:
		n.status = "Canceled"
	case running, failing:
		n.status = "Failed"
	}
	const room = 4 << 10 // for everything else
	if len(n.data) > notify.MaxBody-room {
		n.data = nil
	}
	return n
}

// encode words the notification for a UUID. Data stays as it is, byte for byte.
func (n *notification) encode(uuid string) []byte {
	head := struct {
		Links struct {
			Self   halLink `json:"self"`
			Result halLink `json:"result,omitzero"`
		} `json:"_links"`
		UUID   string `json:"UUID"`
		Status string `json:"status"`
	}{UUID: uuid, Status: n.status}
	head.Links.Self.Href = taskPath + n.task
	if n.data == nil {
		head.Links.Result.Href = taskPath + n.task + "/result"
	}
	text, err := json.Marshal(head)
	if err != nil {
		panic(fmt.Sprintf("a notification cannot be written: %v", err)) // it holds texts
	}
	if n.data == nil {
		return text
	}
	text = append(text[:len(text)-1], `,"data":`...)
	return append(append(text, n.data...), '}')
}
