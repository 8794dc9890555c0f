package gateway

import (
	"strings"

	"github.com/valyala/fasthttp"
)

// AdminPath is a path of the admin listener that is served outside of this package.
type AdminPath struct {
	// Path begins what Serve is called for: itself, and everything behind it and a slash. It begins with a slash and does not end with one.
	Path string
	// Serve answers a request. rest is the rest of the path as it was sent: empty, or a slash and more. It has a goroutine, and Close does not wait for it. A method other
	// than GET and HEAD comes only while Admin.Actions is true.
	Serve func(ctx *fasthttp.RequestCtx, rest string)
}

// adminPath gives the AdminPath that serves a path.
func (g *Gateway) adminPath(path string) (p AdminPath, found bool) {
	for _, p := range g.adminPaths {
		if rest, ok := strings.CutPrefix(path, p.Path); ok && (rest == "" || rest[0] == '/') {
			return p, true
		}
	}
	return AdminPath{}, false
}

// adminPathNames names them all, each with a comma behind it.
func (g *Gateway) adminPathNames() string {
	var b strings.Builder
	for _, p := range g.adminPaths {
		b.WriteString(p.Path + ", ")
	}
	return b.String()
}

// serveFurther answers a request to an AdminPath. One that would change something is refused unless the operator has allowed that, and refused to the pages of a
// browser, which sends an Origin with each of these: a page that an operator looks at could otherwise act for him.
func (g *Gateway) serveFurther(ctx *fasthttp.RequestCtx, p AdminPath, rest string) {
	reads := ctx.IsGet() || ctx.IsHead()
	switch {
	case !reads && !g.actions.Load():
		ctx.Error("Forbidden: this listener only shows what there is: set admin.actions to true in the configuration to allow more", fasthttp.StatusForbidden)
	case !reads && len(ctx.Request.Header.Peek("Origin")) > 0:
		ctx.Error("Forbidden: a page in a browser may not change anything here", fasthttp.StatusForbidden)
	default:
		p.Serve(ctx, rest)
	}
}

// SetActions replaces Admin.Actions, for requests that come from now on.
func (g *Gateway) SetActions(allowed bool) { g.actions.Store(allowed) }

// RefuseMethod answers 405, with the methods that would do.
func RefuseMethod(ctx *fasthttp.RequestCtx, allow string) {
	ctx.Error("Method not allowed: "+allow+" would do", fasthttp.StatusMethodNotAllowed)
	ctx.Response.Header.Set("Allow", allow) // behind Error, which drops all headers
}
