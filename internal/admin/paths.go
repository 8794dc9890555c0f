package admin

import (
	"strings"

	"github.com/valyala/fasthttp"
)

// Path is a path of the admin listener that is served outside of this package.
type Path struct {
	// Path begins what Serve is called for: itself, and everything behind it and a slash. It begins with a slash and does not end with one.
	Path string
	// Serve answers a request. rest is the rest of the path as it was sent: empty, or a slash and more. It has a goroutine, whose end nobody waits for. A method other
	// than GET and HEAD comes only while actions are allowed, and not from a page of another origin.
	Serve func(ctx *fasthttp.RequestCtx, rest string)
}

// path gives the Path that serves a path.
func (h *Handler) path(path string) (p Path, found bool) {
	for _, p := range h.cfg.Paths {
		if rest, ok := strings.CutPrefix(path, p.Path); ok && (rest == "" || rest[0] == '/') {
			return p, true
		}
	}
	return Path{}, false
}

// pathNames names them all, each with a comma behind it.
func (h *Handler) pathNames() string {
	var b strings.Builder
	for _, p := range h.cfg.Paths {
		b.WriteString(p.Path + ", ")
	}
	return b.String()
}

// serveFurther answers a request to a Path. One that would change something is refused unless that is allowed.
func (h *Handler) serveFurther(ctx *fasthttp.RequestCtx, p Path, rest string) {
	if reads(ctx) || h.mayChange(ctx) {
		p.Serve(ctx, rest)
	}
}

// reads reports whether a request changes nothing.
func reads(ctx *fasthttp.RequestCtx) bool { return ctx.IsGet() || ctx.IsHead() }

// RefuseMethod answers 405, with the methods that would do.
func RefuseMethod(ctx *fasthttp.RequestCtx, allow string) {
	ctx.Error("Method not allowed: "+allow+" would do", fasthttp.StatusMethodNotAllowed)
	ctx.Response.Header.Set("Allow", allow) // behind Error, which drops all headers
}
