package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/notify"
)

// subscriptionBody is a subscription in hal+json. Its links are relative to the root of the API.
type subscriptionBody struct {
	Links         subscriptionLinks `json:"_links"`
	Message       string            `json:"message"`
	UUID          string            `json:"UUID"`
	Status        string            `json:"status,omitempty"`
	Mode          string            `json:"mode,omitempty"`
	Topic         string            `json:"topic,omitempty"`
	SigningSecret string            `json:"signingSecret,omitempty"`
	Created       string            `json:"createdDateTime,omitempty"`
	Ended         string            `json:"endedDateTime,omitempty"`
	LastAttempt   *attemptBody      `json:"lastAttempt,omitempty"`
}

type subscriptionLinks struct {
	Self halLink `json:"self"`
	Task halLink `json:"task,omitzero"`
}

// attemptBody is what an owner hears of an attempt: nothing that could name an address.
type attemptBody struct {
	At       string `json:"at"`
	Attempt  int    `json:"attempt"`
	Outcome  string `json:"outcome"`
	Response int    `json:"responseStatus,omitzero"`
}

// Resource reads or cancels a subscription.
func (d *Dialect) Resource(ctx context.Context, dst *fasthttp.Response, req *fasthttp.Request, at dialect.ResourceCall) (login string, err error) {
	p := d.placeOf(at.Route, req)
	if p == nil {
		return "", notFound("no such path")
	}
	r := p.of(string(req.Header.Method()))
	if r == nil {
		return "", &dialect.Fault{Status: fasthttp.StatusMethodNotAllowed, Text: "Method not allowed", Allow: strings.Join(p.methods, ", ")}
	}
	if r.role != subscription || !d.outside.Push.works() {
		return "", notFound("no such path")
	}
	params, path, signature := r.parameters(httpfield.RawPath(req.Header.RequestURI()))
	if login, _, err = d.caller(p, r, req, signature, at.Now); err != nil {
		return login, err
	}
	last := len(params) - 1
	a := subscriptionRequest{login: login, route: r, id: strings.ToLower(params[last].Value), group: groupOf(login, r.Name, params[:last]), path: string(path)}
	return login, d.subscription(ctx, dst, &a, req)
}

// subscription answers a request about a subscription.
func (d *Dialect) subscription(ctx context.Context, dst *fasthttp.Response, a *subscriptionRequest, req *fasthttp.Request) (err error) {
	if fault := a.route.checkAccept(&req.Header); fault != nil {
		fault.Login = a.login
		return fault
	}
	if string(req.Header.Method()) == fasthttp.MethodPut {
		err = d.cancelSubscription(ctx, dst, a, req.Body())
	} else {
		err = d.showSubscription(ctx, dst, a)
	}
	if err == nil {
		dst.Header.Set("Vary", vary)
	}
	return err
}

// subscriptionRequest is a request about a subscription.
type subscriptionRequest struct {
	login, id, group, path string
	route                  *route
}

// find gives a subscription of the caller. What is another one's is as unknown as what is not there.
func (d *Dialect) find(ctx context.Context, a *subscriptionRequest) (s notify.Subscription, err error) {
	if !isUUID(a.id) {
		return s, notify.ErrUnknown
	}
	s, err = d.outside.Push.Subscriptions.Get(ctx, a.id)
	if err == nil && (s.Owner != ownerOf(a.login, a.route.Name) || s.Group != a.group) {
		err = notify.ErrUnknown
	}
	return s, err
}

func (d *Dialect) showSubscription(ctx context.Context, dst *fasthttp.Response, a *subscriptionRequest) error {
	s, err := d.find(ctx, a)
	switch {
	case errors.Is(err, notify.ErrUnknown):
		fault := notFound("no such subscription")
		fault.Login = a.login
		return fault
	case err != nil:
		return subscriptionFault(err, a.login)
	}
	body := subscriptionBody{
		Message: messageOf(s.State), UUID: s.ID, Status: string(s.State), Mode: string(s.Mode), Topic: s.Topic, Created: timeText(s.Created),
	}
	body.Links.Self.Href = a.path
	if s.Task != "" {
		body.Links.Task.Href = taskPath + s.Task
	}
	if !s.Ended.IsZero() {
		body.Ended = timeText(s.Ended)
	}
	if l := s.Last; l != nil {
		body.LastAttempt = &attemptBody{At: timeText(l.At), Attempt: l.Number, Outcome: string(l.Outcome), Response: l.Status}
	}
	writeJSON(dst, typeHAL, &body)
	return nil
}

func (d *Dialect) cancelSubscription(ctx context.Context, dst *fasthttp.Response, a *subscriptionRequest, body []byte) error {
	if fault := checkCancel(body, a.id); fault != nil {
		fault.Login = a.login
		return fault
	}
	_, err := d.find(ctx, a)
	if err == nil {
		err = d.outside.Push.Subscriptions.End(ctx, a.id, notify.Cancelled)
	}
	switch {
	case errors.Is(err, notify.ErrUnknown), errors.Is(err, notify.ErrInactive):
		fault := notAccepted("there is no active subscription of this caller here")
		fault.Login = a.login
		return fault
	case err != nil:
		return subscriptionFault(err, a.login)
	}
	answer := subscriptionBody{Message: messageOf(notify.Cancelled), UUID: a.id, Status: string(notify.Cancelled)}
	answer.Links.Self.Href = a.path
	writeJSON(dst, typeHAL, &answer)
	dst.SetStatusCode(fasthttp.StatusAccepted)
	return nil
}

// checkCancel refuses a body that does not ask to cancel this subscription. An empty one does.
func checkCancel(body []byte, id string) *dialect.Fault {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	var said struct {
		UUID   *string `json:"UUID"`
		Status *string `json:"status"`
	}
	switch {
	case checkJSON(body, true) != nil || json.Unmarshal(body, &said) != nil:
		return &dialect.Fault{
			Status: fasthttp.StatusBadRequest, Reason: dialect.BadBody, Text: `Incorrect body: it must be empty, or {"UUID":"…","status":"cancelled"}`,
		}
	case said.Status != nil && *said.Status != string(notify.Cancelled):
		return &dialect.Fault{
			Status: fasthttp.StatusUnprocessableEntity, Reason: dialect.BadStatus, Text: "A subscription can only be given the status cancelled",
			Details: []dialect.Detail{{Pointer: "/status", Text: "must be cancelled"}},
		}
	case said.UUID != nil && !strings.EqualFold(*said.UUID, id):
		return notAccepted("the UUID is that of another subscription")
	}
	return nil
}

// messageOf says where a subscription stands.
func messageOf(s notify.SubscriptionState) string {
	switch s {
	case notify.Active:
		return "The subscription is active"
	case notify.Completed:
		return "The subscription has ended: its notification was delivered"
	case notify.Cancelled:
		return "The subscription is cancelled"
	case notify.Ended:
		return "The subscription has ended without a delivery: its receiver does not take it, or there is no task"
	}
	return fmt.Sprintf("The subscription is %s", s)
}

func notFound(what string) *dialect.Fault {
	return &dialect.Fault{Status: fasthttp.StatusNotFound, Text: "Not found: " + what}
}

// isUUID reports whether a text has the form of one, in lower case.
func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range []byte(text) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && (c >= 'A' && c <= 'F' || hexValue(c) < 0) {
			return false
		}
	}
	return true
}
