package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/admin"
	"syncgate/notify"
)

const (
	// notificationsPath is where operators ask for notifications.
	notificationsPath = "/api/notifications"
	// storeTimeout bounds what one request asks of the store.
	storeTimeout = 5 * time.Second
	// listLimit is how many notifications a list has where nobody says how many.
	listLimit = 100
	// mostNotificationID is how long the id of a notification can be.
	mostNotificationID = 128
)

// Answers with 404 that say that this is the right place.
const (
	noPushes       = "Not found: no route of this gateway pushes results, so there are no notifications"
	noNotification = "Not found: there is no such notification: delivered ones are known for an hour, others for 7 days after their end"
)

// notificationList is the answer to GET /api/notifications.
type notificationList struct {
	Notifications []notify.Entry `json:"notifications"`   // oldest first
	After         string         `json:"after,omitempty"` // the parameter after of the rest; empty: there is no more
}

// notifyAdmin answers operators who ask the admin listener for notifications. It shows no body, header, secret, and no query of a URL. A node without
// notifications has the zero value, which answers 404.
type notifyAdmin struct {
	store notify.Store
	retry func(ctx context.Context, id string) error
}

// serve answers /api/notifications, .../{id} and .../{id}/retry.
func (a notifyAdmin) serve(ctx *fasthttp.RequestCtx, rest string) {
	until, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	escaped, action, acts := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	id, err := url.PathUnescape(escaped)
	reads := ctx.IsGet() || ctx.IsHead()
	switch {
	case a.store == nil:
		ctx.Error(noPushes, fasthttp.StatusNotFound)
	case err != nil || acts && action != "retry" || acts && id == "":
		ctx.Error("Not found: "+notificationsPath+", "+notificationsPath+"/{id} and "+notificationsPath+"/{id}/retry are here", fasthttp.StatusNotFound)
	case len(id) > mostNotificationID:
		refuseNotification(ctx, notify.ErrUnknown)
	case acts && !ctx.IsPost():
		admin.RefuseMethod(ctx, "POST")
	case acts:
		a.sendAgain(until, ctx, id)
	case id == "" && !reads:
		admin.RefuseMethod(ctx, "GET, HEAD")
	case id == "":
		a.list(until, ctx)
	case reads:
		a.show(until, ctx, id)
	case ctx.IsDelete():
		a.drop(until, ctx, id)
	default:
		admin.RefuseMethod(ctx, "GET, HEAD, DELETE")
	}
}

func (a notifyAdmin) list(until context.Context, ctx *fasthttp.RequestCtx) {
	f, err := filterOf(ctx.QueryArgs())
	if err != nil {
		ctx.Error("Incorrect request: "+err.Error(), fasthttp.StatusBadRequest)
		return
	}
	entries, after, err := a.store.List(until, f)
	if err != nil {
		refuseNotification(ctx, err)
		return
	}
	admin.AnswerJSON(ctx, notificationList{append([]notify.Entry{}, entries...), after})
}

// listed are the states that a list can have. Delivered ones are known for an hour, by their ids alone.
func listed() []notify.State {
	return []notify.State{notify.Open, notify.Refused, notify.Gone, notify.Dead}
}

// filterOf reads the parameters of a list. Its errors show none of their values.
func filterOf(args *fasthttp.Args) (f notify.Filter, err error) {
	f.Limit = listLimit
	cursor := regexp.MustCompile(`^[0-9]{1,18}\.[A-Za-z0-9_-]{1,128}$`)
	for name, value := range args.All() {
		text := string(value)
		switch string(name) {
		case "state":
			f.State = notify.State(text)
			if !slices.Contains(listed(), f.State) {
				return f, errors.New("state must be one of open, refused, gone and dead; delivered ones are not listed: ask for one by its id")
			}
		case "subscription":
			f.Subscription = text
		case "limit":
			if f.Limit, err = strconv.Atoi(text); err != nil || f.Limit < 1 || f.Limit > notify.MaxList {
				return f, fmt.Errorf("limit must be a number from 1 to %d", notify.MaxList)
			}
		case "after":
			if f.After = text; !cursor.MatchString(text) {
				return f, errors.New("after must be what the list before has as after")
			}
		default:
			return f, errors.New("it has a parameter that there is not; there are state, subscription, limit and after")
		}
	}
	return f, nil
}

func (a notifyAdmin) show(until context.Context, ctx *fasthttp.RequestCtx, id string) {
	e, err := a.store.Show(until, id)
	if err != nil {
		refuseNotification(ctx, err)
		return
	}
	admin.AnswerJSON(ctx, e)
}

func (a notifyAdmin) sendAgain(until context.Context, ctx *fasthttp.RequestCtx, id string) {
	if err := a.retry(until, id); err != nil {
		refuseNotification(ctx, err)
		return
	}
	a.show(until, ctx, id)
}

func (a notifyAdmin) drop(until context.Context, ctx *fasthttp.RequestCtx, id string) {
	if err := a.store.Drop(until, id); err != nil {
		refuseNotification(ctx, err)
		return
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// refuseNotification words an error of the store. An inner error may show what is stored.
func refuseNotification(ctx *fasthttp.RequestCtx, err error) {
	switch {
	case errors.Is(err, notify.ErrUnknown):
		ctx.Error(noNotification, fasthttp.StatusNotFound)
	case errors.Is(err, notify.ErrDelivered):
		ctx.Error("Conflict: it was delivered, and is not sent again", fasthttp.StatusConflict)
	default:
		ctx.Error("Unavailable: the store of notifications does not answer. A retry or a drop may have happened: look again later", fasthttp.StatusServiceUnavailable)
	}
}
