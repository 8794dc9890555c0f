package redis

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
)

const (
	// Between two attempts to subscribe.
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

var errUnsubscribed = errors.New("the server ended the subscription")

// listener reads what comes over the node's channel.
type listener struct {
	store        *store
	node         correlator.NodeID
	link         *link
	begun        func()                           // there is a new subscription
	accept       func(entry, correlator.Callback) // a callback has come, which waits in the inbox
	acceptStored func(entry, correlator.Callback) // one has come that is stored in the hash of its trip
	fetch        func(entry)                      // one has to be fetched
	hint         func(correlator.ID)              // there is something new of a trip that may be waited for here
	event        func(correlator.ID, correlator.Callback)
}

// run subscribes, again and again, until ctx ends.
func (l *listener) run(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		heard, err := l.listen(ctx)
		l.link.down(err)
		if heard {
			pause = firstPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, lastPause)
	}
}

// listen hears one subscription to its end, which err is the reason of. It reports whether there was one.
func (l *listener) listen(ctx context.Context) (heard bool, err error) {
	subscription, err := l.store.subscribe(ctx, l.node)
	if err != nil {
		return false, err
	}
	defer func() { _ = subscription.Close() }() // it may be closed already
	if !l.link.up(subscription) {
		return false, unready(stepListen, errClosed)
	}
	l.begun()
	for {
		// Without a time limit: one that strikes within a message would lose the rest. A silent connection is the prober's to end.
		received, err := subscription.Receive(context.WithoutCancel(ctx))
		if err != nil {
			return true, unready(stepListen, err)
		}
		switch m := received.(type) {
		case *goredis.Message:
			l.take(m.Payload)
		case *goredis.Subscription:
			if m.Kind == "sunsubscribe" || m.Kind == "unsubscribe" { // a Cluster moved the slot
				l.store.reload(ctx)
				return true, unready(stepListen, errUnsubscribed)
			}
			l.begun() // the client has made a new connection by itself
		}
	}
}

// take deals with one message. What cannot be read is left alone: what matters is in the inbox as well.
func (l *listener) take(message string) {
	if text, is := strings.CutPrefix(message, probeMark); is {
		if number, err := l.store.tags.parseProbe(l.node, text); err == nil {
			l.link.came(number)
		}
		return
	}
	if text, is := strings.CutPrefix(message, hintMark); is {
		if id, err := parseHint(text); err == nil {
			l.hint(id)
		}
		return
	}
	if text, is := strings.CutPrefix(message, eventMark); is {
		l.takeEvents(text)
		return
	}
	for message != "" {
		one, rest, err := l.store.tags.parseSaid(l.node, message)
		switch {
		case errors.Is(err, errForged): // the next one may be genuine
		case err != nil:
			l.store.tags.refuse(kindCallback)
			return
		case one.cb == nil:
			l.fetch(one.entry)
		case one.hashed:
			l.acceptStored(one.entry, *one.cb)
		default:
			l.accept(one.entry, *one.cb)
		}
		message = rest
	}
}

// takeEvents deals with a message of events without its mark.
func (l *listener) takeEvents(text string) {
	var home correlator.NodeID
	if len(text) < homeLen {
		l.store.tags.refuse(kindEvent)
		return
	}
	if _, err := hex.Decode(home[:], []byte(text[:homeLen])); err != nil {
		l.store.tags.refuse(kindEvent)
		return
	}
	for text = text[homeLen:]; text != ""; {
		e, cb, rest, err := l.store.tags.parseEvent(home, text)
		switch {
		case errors.Is(err, errForged): // the next one may be genuine
		case err != nil:
			l.store.tags.refuse(kindEvent)
			return
		default:
			l.event(e.id, cb)
		}
		text = rest
	}
}
