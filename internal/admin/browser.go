package admin

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// Nobody gives a password here, so a browser must not ask for others. A page of another origin could send a change, and a page whose name leads to this
// machine (DNS rebinding) could read as well. So a browser has to use a name that is known here, and a page has to be one of this listener's own.

// access says who may do what. It does not change.
type access struct {
	actions bool     // changes are allowed
	hosts   []string // under which browsers may ask, beside localhost and IP addresses
}

// SetAccess replaces Config.Actions and Config.Hosts, for requests that come from now on.
func (h *Handler) SetAccess(actions bool, hosts []string) {
	h.access.Store(&access{actions, slices.Clone(hosts)})
}

// mayAsk refuses a browser that may not even read, with 403.
func (h *Handler) mayAsk(ctx *fasthttp.RequestCtx) bool {
	return allow(ctx, h.access.Load().refusesBrowser(&ctx.Request.Header))
}

// mayChange refuses what would change something, unless that is allowed, with 403. A page has to show by a header that it means it: no page can send that header
// to another origin without being asked first.
func (h *Handler) mayChange(ctx *fasthttp.RequestCtx) bool {
	a, head := h.access.Load(), &ctx.Request.Header
	switch {
	case !a.actions:
		return allow(ctx, "this listener only shows what there is: set admin.actions to true in the configuration to allow more")
	case isBrowser(head):
		return allow(ctx, refusesPage(head))
	}
	return true
}

// allow answers 403 if there is a reason.
func allow(ctx *fasthttp.RequestCtx, reason string) bool {
	if reason != "" {
		ctx.Error("Forbidden: "+reason, fasthttp.StatusForbidden)
	}
	return reason == ""
}

// refusesBrowser says why a browser may not ask; empty: it may, or it is none.
func (a *access) refusesBrowser(h *fasthttp.RequestHeader) string {
	if !isBrowser(h) {
		return ""
	}
	known, listed := a.knows(h.Host())
	switch origins := h.PeekAll("Origin"); {
	case !known:
		return "a browser asks under a name that is not known here: use an IP address or localhost, or add the name to admin.hosts in the configuration"
	case len(origins) > 1, len(origins) == 1 && !isOwn(origins[0], h.Host(), listed):
		return "a page of another origin asks, and only a page of this listener may"
	}
	return ""
}

// refusesPage says why a browser may not change anything; empty: it may. Its host and its Origin, if it has one, are good.
func refusesPage(h *fasthttp.RequestHeader) string {
	sites := h.PeekAll("Sec-Fetch-Site")
	switch {
	case len(h.Peek("Origin")) == 0:
		return "a page in a browser may change something only if its request has the Origin of this listener"
	case len(sites) > 1, len(sites) == 1 && string(sites[0]) != "same-origin":
		return "a page of another origin asks, and only a page of this listener may"
	case string(h.Peek("X-Syncgate-Action")) != "1":
		return "a page in a browser has to send X-Syncgate-Action: 1 to change something"
	}
	return ""
}

// isBrowser reports whether a browser has sent a request, for a page or for its user. On a plain connection to a name, browsers send no Sec-Fetch-Site, and no Origin
// with what a page reads from its own origin. But they send a User-Agent that begins with Mozilla, and languages. Node's fetch sends languages too, and
// Sec-Fetch-Mode without Sec-Fetch-Site, which no browser does and no page can.
func isBrowser(h *fasthttp.RequestHeader) bool {
	return has(h, "Origin") || has(h, "Sec-Fetch-Site") || bytes.HasPrefix(h.UserAgent(), []byte("Mozilla/")) ||
		has(h, "Accept-Language") && !has(h, "Sec-Fetch-Mode")
}

func has(h *fasthttp.RequestHeader, name string) bool { return len(h.PeekAll(name)) > 0 }

// knows reports whether browsers may ask under the host of a request, and whether it is one of those that are listed.
func (a *access) knows(host []byte) (known, listed bool) {
	name := string(host)
	if alone, _, err := net.SplitHostPort(name); err == nil {
		name = alone
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if slices.ContainsFunc(a.hosts, func(h string) bool { return strings.EqualFold(h, name) }) {
		return true, true
	}
	_, err := netip.ParseAddr(name)
	return err == nil || strings.EqualFold(name, "localhost"), false
}

// isOwn reports whether an origin is that of this listener, under the host that was asked. A host that is listed may have a proxy with TLS in front.
func isOwn(origin, host []byte, listed bool) bool {
	rest, plain := bytes.CutPrefix(origin, []byte("http://"))
	if !plain {
		var secure bool
		if rest, secure = bytes.CutPrefix(origin, []byte("https://")); !secure || !listed {
			return false
		}
	}
	return len(host) > 0 && bytes.EqualFold(rest, host)
}
