package web

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// ask asks for a path.
func ask(path string) (found bool, answer *fasthttp.Response) {
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(new(fasthttp.Request), nil, nil)
	found = Serve(ctx, path)
	return found, &ctx.Response
}

// TestServe: each file has its type, and the headers that keep a browser from doing more than the page needs.
func TestServe(t *testing.T) {
	f := func(path, contentType, begin string) {
		t.Helper()
		found, answer := ask(path)
		h := &answer.Header
		if !found || string(h.ContentType()) != contentType || !strings.HasPrefix(string(answer.Body()), begin) {
			t.Errorf("%s: found %v, %s %.40q", path, found, h.ContentType(), answer.Body())
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"Cache-Control":           "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := string(h.Peek(name)); got != want {
				t.Errorf("%s has %s: %s", path, name, got)
			}
		}
	}
	f("/", "text/html; charset=utf-8", "<!doctype html>")
	f("/web/main.js", "text/javascript; charset=utf-8", "// ")
	f("/web/style.css", "text/css; charset=utf-8", "/* ")
	f("/web/icon.svg", "image/svg+xml", "<svg")
}

func TestServeNothingElse(t *testing.T) {
	for _, path := range []string{"", "/web", "/web/", "/web/.", "/web/none.js", "/web/../web.go", "/web/../page/main.js", "/web//main.js", "/web/main.js/", "/web/main.js?x", "/main.js", "//", "/web/MAIN.JS", "/web/%6dain.js"} {
		if found, answer := ask(path); found || len(answer.Body()) > 0 || len(answer.Header.Peek("Content-Security-Policy")) > 0 {
			t.Errorf("%q is found, or its answer was changed", path)
		}
	}
}

// texts gives the files of the page by name.
func texts(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		all[strings.TrimPrefix(path, "page/")] = string(text)
		return err
	})
	if err != nil || len(all) < 10 {
		t.Fatalf("there are %d files: %v", len(all), err)
	}
	return all
}

// TestPageMakesNoMarkup: text of the gateway can become markup or code by none of these.
func TestPageMakesNoMarkup(t *testing.T) {
	makes := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTML|srcdoc|\beval\b|new Function|javascript:|setTimeout\("`)
	inline := regexp.MustCompile(`<script>|<style|\sstyle=|\son\w+=`)
	for name, text := range texts(t) {
		if found := makes.FindString(text); found != "" {
			t.Errorf("%s has %s", name, found)
		}
		if found := inline.FindString(text); strings.HasSuffix(name, ".html") && found != "" {
			t.Errorf("%s has %q, which its policy forbids", name, found)
		}
	}
}

// TestPageLoadsItsOwnFiles: every file that the page names is there, every file is named, and none is of another origin.
func TestPageLoadsItsOwnFiles(t *testing.T) {
	all, named := texts(t), map[string]bool{"index.html": true}
	names := regexp.MustCompile(`(?:from "\./|(?:src|href)="web/)([\w.]+)"`)
	for name, text := range all {
		for _, m := range names.FindAllStringSubmatch(text, -1) {
			if named[m[1]] = true; all[m[1]] == "" {
				t.Errorf("%s names %s, which is not there", name, m[1])
			}
		}
		for _, url := range regexp.MustCompile(`(?:https?:)?//[\w-]+\.\w[\w./]*`).FindAllString(text, -1) {
			if url != "http://www.w3.org/2000/svg" { // it is a name, and nobody asks there
				t.Errorf("%s has the address %s", name, url)
			}
		}
	}
	for name := range all {
		if !named[name] {
			t.Errorf("nothing loads %s", name)
		}
	}
}

// TestPageIsSmall: files have at most 400 lines, as those of the program, and the page less than 100 KiB.
func TestPageIsSmall(t *testing.T) {
	size := 0
	for name, text := range texts(t) {
		size += len(text)
		if n := strings.Count(text, "\n"); n > 400 {
			t.Errorf("%s has %d lines", name, n)
		}
	}
	if size > 100<<10 {
		t.Errorf("the page has %d bytes", size)
	}
}
