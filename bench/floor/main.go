// Command floor is the least that a fasthttp server can do for a trip: it takes the create, forwards it with a callback
// URL put in, holds the client's handler until the callback comes, and replies with the callback's body. It verifies
// nothing, signs nothing, logs nothing, has no deadline and forgives nothing. What a gateway costs is measured against it.
// With -pipeline the creates go to the engine over one connection, each before the answer to the one before has come.
package main

import (
	"bytes"
	"flag"
	"log"
	"net/http"
	_ "net/http/pprof" //nolint:gosec // on an address of its own
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` of clients and callbacks")
	admin := flag.String("admin", "", "`address` of /debug/pprof; empty: none")
	engine := flag.String("engine", "127.0.0.1:9000", "`address` of the engine")
	cert := flag.String("cert", "", "PEM `file` of a certificate: clients and callbacks come by https")
	key := flag.String("key", "", "PEM `file` of its key")
	pipeline := flag.Bool("pipeline", false, "send all creates to the engine over one connection")
	flag.Parse()
	if *admin != "" {
		go func() {
			log.Fatal((&http.Server{Addr: *admin, ReadHeaderTimeout: time.Second}).ListenAndServe())
		}()
	}
	f := newFloor(*listen, *engine, *pipeline)
	s := fasthttp.Server{Handler: f.handle, NoDefaultServerHeader: true}
	if *cert != "" {
		f.base = strings.Replace(f.base, "http:", "https:", 1)
		log.Fatal(s.ListenAndServeTLS(*listen, *cert, *key))
	}
	log.Fatal(s.ListenAndServe(*listen))
}

type floor struct {
	host   string // of the engine
	engine interface {
		Do(*fasthttp.Request, *fasthttp.Response) error
	}
	base string

	last atomic.Uint64 // sequence number

	mu      sync.Mutex
	waiting map[uint64]chan []byte // guarded by mu
}

func newFloor(listen, engine string, pipeline bool) *floor {
	const most = 20_000 // creates on their way at once
	f := &floor{
		host:    engine,
		engine:  &fasthttp.HostClient{Addr: engine, MaxConns: most},
		base:    `"data":{"__callback_url":"http://` + listen + `/callback/`,
		waiting: make(map[uint64]chan []byte),
	}
	if pipeline {
		f.engine = &fasthttp.PipelineClient{Addr: engine, MaxConns: 1, MaxPendingRequests: most}
	}
	return f
}

func (f *floor) handle(ctx *fasthttp.RequestCtx) {
	switch path := ctx.Request.Header.RequestURI(); {
	case bytes.HasPrefix(path, []byte("/api/")):
		f.create(ctx, path)
	case bytes.HasPrefix(path, []byte("/callback/")):
		f.callback(ctx, path[len("/callback/"):])
	default:
		ctx.SetStatusCode(fasthttp.StatusNotFound)
	}
}

// create makes the first two exchanges and waits for the third.
func (f *floor) create(ctx *fasthttp.RequestCtx, path []byte) {
	n, arrived := f.last.Add(1), make(chan []byte, 1)
	f.mu.Lock()
	f.waiting[n] = arrived
	f.mu.Unlock()

	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	with := strconv.AppendUint([]byte(f.base), n, 10)
	with = append(with, `",`...)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.SetRequestURIBytes(path)
	req.Header.SetHost(f.host)
	req.Header.SetContentType("application/json")
	req.SetBodyRaw(bytes.Replace(ctx.Request.Body(), []byte(`"data":{`), with, 1))
	if err := f.engine.Do(req, resp); err != nil || resp.StatusCode() != fasthttp.StatusOK {
		ctx.SetStatusCode(fasthttp.StatusBadGateway)
		return
	}
	ctx.SetContentType("application/json")
	ctx.Response.SetBodyRaw(<-arrived)
}

// callback hands its body to the one that waits.
func (f *floor) callback(ctx *fasthttp.RequestCtx, number []byte) {
	n, _ := strconv.ParseUint(string(number), 10, 64)
	f.mu.Lock()
	arrived := f.waiting[n]
	delete(f.waiting, n)
	f.mu.Unlock()
	if arrived == nil {
		ctx.SetStatusCode(fasthttp.StatusNotFound)
		return
	}
	arrived <- bytes.Clone(ctx.Request.Body())
	ctx.SetContentType("application/json")
	ctx.SetBodyString("{}")
}
