package main

import (
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"syncgate/configs"
	"syncgate/internal/admin"
)

// Paths of the admin listener at which operators read what a node is.
const (
	configPath   = "/api/config"
	warningsPath = "/api/warnings"
	waitersPath  = "/api/waiters"

	descriptionPath = "/openapi.yaml"
)

// readPath is a path of the admin listener at which something is read, and nothing else: there are no parameters, and no paths below it.
func readPath(path string, answer func(ctx *fasthttp.RequestCtx)) admin.Path {
	return admin.Path{Path: path, Serve: func(ctx *fasthttp.RequestCtx, rest string) {
		switch {
		case rest != "":
			ctx.Error("Not found: "+path+" is here, and nothing below it", fasthttp.StatusNotFound)
		case !ctx.IsGet() && !ctx.IsHead():
			admin.RefuseMethod(ctx, "GET, HEAD")
		case ctx.QueryArgs().Len() > 0:
			ctx.Error("Incorrect request: "+path+" has no parameters", fasthttp.StatusBadRequest)
		default:
			answer(ctx)
		}
	}}
}

// adminPaths are the paths of the admin listener that the program serves.
func (n *node) adminPaths(recent *recentWarnings) []admin.Path {
	return []admin.Path{
		n.pushing.path(),
		readPath(configPath, n.effective.showConfig),
		readPath(warningsPath, recent.show),
		readPath(waitersPath, n.effective.showWaiters),
		readPath(descriptionPath, showDescription),
	}
}

// effectiveConfig is the configuration that is in effect, for operators who ask. What it holds does not change.
type effectiveConfig struct{ atomic.Pointer[configs.Config] }

// showConfig answers with the configuration as syncgate check prints it.
func (e *effectiveConfig) showConfig(ctx *fasthttp.RequestCtx) {
	out, err := e.Load().YAML()
	if err != nil {
		ctx.Error("Internal error", fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetContentType("text/yaml; charset=utf-8")
	ctx.SetBody(out)
}

// shownWaiters is the answer to GET /api/waiters.
type shownWaiters struct {
	Waiters []shownWaiter `json:"waiters"`
}

// shownWaiter is a waiter without what completes tasks.
type shownWaiter struct {
	Name    string `json:"name"`
	Process string `json:"process"`
	Key     string `json:"key"`
	URL     string `json:"url"` // with its hash left out, as in the log; empty: it has no hashes, so nobody can call it
}

// showWaiters answers with the waiters that are in effect.
func (e *effectiveConfig) showWaiters(ctx *fasthttp.RequestCtx) {
	c := e.Load()
	all := make([]shownWaiter, len(c.Waiters))
	for i := range c.Waiters {
		w := &c.Waiters[i]
		all[i] = shownWaiter{w.Name, w.ConvID, w.Key, w.MaskedURL(c.Callback.BaseURL)}
	}
	admin.AnswerJSON(ctx, shownWaiters{all})
}

// shownWarnings is the answer to GET /api/warnings.
type shownWarnings struct {
	Warnings []warning `json:"warnings"` // the newest first
}

// show answers with the lines.
func (w *recentWarnings) show(ctx *fasthttp.RequestCtx) {
	admin.AnswerJSON(ctx, shownWarnings{w.newest()})
}
