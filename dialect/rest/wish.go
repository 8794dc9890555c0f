package rest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/internal/splice"
	"syncgate/notify"
	"syncgate/signer"
)

// wish is what a request says of receivers. The zero wish says nothing.
type wish struct {
	url        string // of the receiver; empty: none
	secret     signer.Secret
	mode       string
	topic      bool
	continuous bool // it is for tasks of others, and makes none

	os1 *os1Wishes // of a route with view os1, and then nothing else; nil: another route
}

// The members of a body that are ours. No engine gets them, however their names are spelled.
const (
	memberURL    = "callbackUrl"
	memberMode   = "mode"
	memberTopic  = "topic"
	memberSecret = "secret"
)

// readWish takes our members out of a body. rest is the body without them, byte for byte. A call without a receiver has none but topic true, which
// is refused: mode and the others are data of its task. What does not begin as an object has none, whatever its Content-Type; what does has to be one: an engine may read more than we can.
func (r *route) readWish(body []byte) (rest []byte, w wish, fault *dialect.Fault) {
	if len(body) == 0 {
		return body, w, nil
	}
	said, rest, err := cutOurs(body)
	_, receives := said[memberURL]
	receives = receives || r.role == subscribes || string(said[memberTopic]) == "true"
	switch _, twice := errors.AsType[*twiceError](err); {
	case !receives && (err == nil || twice):
		return body, w, nil
	case twice:
		return nil, w, notAccepted("%v", err)
	case err == nil:
		return rest, w, w.read(said)
	case r.role == subscribes, beginsObject(body):
		return nil, w, &dialect.Fault{Status: fasthttp.StatusBadRequest, Reason: dialect.BadBody, Text: "Incorrect body: " + err.Error()}
	}
	return body, w, nil
}

// beginsObject reports whether a reader that is less strict than ours may take a body for an object.
func beginsObject(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\ufeff")), " \t\r\n"), []byte("{"))
}

// twiceError says that one of our members is there more than once. No two readers need agree which counts.
type twiceError struct{ name string }

func (e *twiceError) Error() string { return e.name + " is there more than once" }

var errNoObject = errors.New("it must be a JSON object")

// cutOurs gives our members of an object, and the object without them. One that is null counts as absent.
func cutOurs(body []byte) (said map[string][]byte, rest []byte, err error) {
	c := cutter{body: body, said: make(map[string][]byte)}
	if err := c.r.Reset(body); err != nil {
		return nil, nil, err
	}
	if is := c.r.Peek(); is != splice.Object && is != splice.Invalid {
		return nil, nil, errNoObject
	}
	open, err := c.r.Enter()
	if err != nil {
		return nil, nil, err
	}
	c.items = splice.NewItems(&c.edits, open)
	for more := true; more; {
		if more, err = c.member(); err != nil {
			return nil, nil, err
		}
	}
	c.items.Close()
	if err := c.r.Close(); err != nil {
		return nil, nil, err
	}
	if c.twice != nil || len(c.said) == 0 {
		return c.said, body, c.twice
	}
	rest, _ = c.edits.Apply(make([]byte, 0, len(body)), body, nil)
	return c.said, rest, nil
}

// cutter walks the members of an object.
type cutter struct {
	body  []byte
	r     splice.Reader
	edits splice.Edits
	items splice.Items
	said  map[string][]byte
	twice error // one of our members came again
}

// member takes the next member, false when there is none.
func (c *cutter) member() (more bool, err error) {
	m, ok, err := c.r.Member()
	if err != nil || !ok {
		return false, err
	}
	name := ours(m.Name) // which the next read may change
	is := c.r.Peek()
	value, err := c.r.Value()
	if err != nil {
		return false, err
	}
	item := splice.Span{Start: m.Start, End: value.End}
	if name == "" {
		c.items.Keep(item)
		return true, nil
	}
	c.items.Cut(item)
	if _, again := c.said[name]; again {
		c.twice = &twiceError{name}
	}
	if c.said[name] = value.Of(c.body); is == splice.Null {
		c.said[name] = nil
	}
	return true, nil
}

// ours gives the name of a member that is ours; empty: it is not.
func ours(name []byte) string {
	switch string(name) {
	case memberURL:
		return memberURL
	case memberMode:
		return memberMode
	case memberTopic:
		return memberTopic
	case memberSecret:
		return memberSecret
	}
	return ""
}

// read takes what our members say.
func (w *wish) read(said map[string][]byte) *dialect.Fault {
	var secret string
	for _, m := range []struct {
		name, must string
		to         any
	}{
		{memberURL, "a string", &w.url},
		{memberMode, "a string", &w.mode},
		{memberTopic, "true or false", &w.topic},
		{memberSecret, "a string", &secret},
	} {
		if value := said[m.name]; value != nil && json.Unmarshal(value, m.to) != nil {
			return notAccepted("%s must be %s", m.name, m.must)
		}
	}
	if said[memberURL] != nil && w.url == "" {
		return notAccepted("%s must not be empty", memberURL)
	}
	if said[memberSecret] != nil {
		if _, err := signer.ParseWebhookSecret(secret); err != nil {
			return notAccepted("%s %v", memberSecret, err)
		}
	}
	w.secret = signer.Secret(secret)
	return nil
}

// checkWish refuses what a route cannot do.
func (d *Dialect) checkWish(r *route, w *wish) *dialect.Fault {
	w.continuous = w.mode == string(notify.Continuous)
	switch {
	case w.mode != "" && w.mode != string(notify.Once) && !w.continuous:
		return notAccepted("%s must be %s or %s", memberMode, notify.Once, notify.Continuous)
	case r.role == calls && (w.topic || w.continuous):
		return notAccepted("%s true and %s %s are for {path}/%s", memberTopic, memberMode, notify.Continuous, subscriptionsSegment)
	case r.Auth == AuthNone && w.continuous: // it would send the results of all to strangers
		return notAccepted("%s %s needs a route with a credential: here nobody knows which tasks are yours", memberMode, notify.Continuous)
	case w.url != "" && w.topic:
		return notAccepted("%s and %s true exclude each other", memberURL, memberTopic)
	case r.role == subscribes && w.url == "" && !w.topic:
		return notAccepted("%s is missing: it is the URL that gets results", memberURL)
	case w.url == "":
		return nil
	}
	return d.checkReceiver(memberURL, w.url)
}

// checkReceiver refuses a URL that a member of a body names, if nothing may be sent there.
func (d *Dialect) checkReceiver(member, url string) *dialect.Fault {
	err := d.outside.Push.Sender.Check(url)
	refused, ok := errors.AsType[*notify.RefusedError](err)
	switch {
	case err == nil:
		return nil
	case ok:
		return notAccepted("%v", refused)
	}
	return notAccepted("%s cannot be used", member)
}

// notAccepted refuses a subscription.
func notAccepted(format string, args ...any) *dialect.Fault {
	return &dialect.Fault{Status: fasthttp.StatusForbidden, Reason: dialect.BadSubscription, Text: "Not accepted: " + fmt.Sprintf(format, args...)}
}
