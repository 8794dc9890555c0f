// Package web has the operators' page: what a browser shows of a node. The page is plain modules and one file of styles. It asks the admin listener
// that serves it, and nobody else.
package web

import (
	"embed"
	"strings"

	"github.com/valyala/fasthttp"
)

//go:embed page
var files embed.FS

// policy lets the page load from its own origin alone, and run nothing that stands in its markup: a text of a client that became markup would do nothing.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Serve answers a request for "/", which is the page, or for "/web/…", which is what the page loads. path is the path as it was sent, without the query. If there is
// no such file, found is false, and the answer is as it was. Browsers keep no copy, so that they never run an old page with a new program.
func Serve(ctx *fasthttp.RequestCtx, path string) (found bool) {
	name, ok := "index.html", path == "/"
	if !ok {
		name, ok = strings.CutPrefix(path, "/web/")
	}
	contentType := typeOf(name)
	if !ok || contentType == "" {
		return false
	}
	text, err := files.ReadFile("page/" + name)
	if err != nil {
		return false
	}
	h := &ctx.Response.Header
	h.SetContentType(contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	ctx.SetBody(text)
	return true
}

// typeOf gives the content type of a file by the end of its name, empty for one that is not served.
func typeOf(name string) string {
	for end, contentType := range map[string]string{
		".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
	} {
		if strings.HasSuffix(name, end) {
			return contentType
		}
	}
	return ""
}
