package waiter

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/internal/webhook"
)

// Dialect answers those who call at URLs of waiters.
type Dialect struct {
	// Set by NewDialect, read-only afterwards.
	table   *Table
	methods []string
}

var (
	_ dialect.Dialect         = (*Dialect)(nil)
	_ dialect.ResourceDialect = (*Dialect)(nil)
)

// NewDialect makes the Dialect of a Table.
func NewDialect(t *Table) *Dialect {
	return &Dialect{table: t, methods: []string{fasthttp.MethodPost, fasthttp.MethodGet, fasthttp.MethodHead, fasthttp.MethodOptions}}
}

// Name is what records would call the dialect. It makes none.
func (*Dialect) Name() string { return "waiter" }

// Route knows /api/1/json/callback/{node}/{hash}, whatever they are: what is wrong with them Resource says, in the same words for all.
func (d *Dialect) Route(path []byte) (r dialect.Route, ok bool) {
	if _, _, ok := splitAddress(path); !ok {
		return dialect.Route{}, false
	}
	s := d.table.current.Load()
	return dialect.Route{Kind: dialect.Report, Own: s, Methods: d.methods, Wait: s.longest + deliverTime}, true
}

// Accept refuses: there is nothing to create.
func (*Dialect) Accept(*fasthttp.Request, dialect.Route, time.Time) (*dialect.Call, error) {
	return nil, notFound()
}

// Answer does nothing: the dialect makes no task.
func (*Dialect) Answer(*fasthttp.Response, *dialect.Call, *dialect.Reply) {}

// Refuse words a fault as those of packages are.
func (*Dialect) Refuse(dst *fasthttp.Response, f *dialect.Fault, _ string) {
	write(dst, f.Status, []opAnswer{{proc: procError, description: f.Text}})
}

func notFound() *dialect.Fault {
	return &dialect.Fault{Status: fasthttp.StatusNotFound, Text: "Not found"}
}

// Resource answers a request at a waiter's URL. Nothing is looked up for one whose URL or verification is wrong.
func (d *Dialect) Resource(ctx context.Context, dst *fasthttp.Response, req *fasthttp.Request, at dialect.ResourceCall) (login string, err error) {
	s, ok := at.Route.Own.(*set)
	node, hash, isAddress := splitAddress(httpfield.RawPath(req.Header.RequestURI()))
	if !ok || !isAddress {
		return "", notFound()
	}
	a := s.find(node, hash, at.Now)
	switch {
	case a == nil:
		return "", notFound()
	case a.waiter == nil:
		writeTaken(dst)
		return "", nil
	}
	return "", d.table.called(ctx, dst, req, a.waiter, at)
}

// called answers a request at the URL of a waiter.
func (t *Table) called(ctx context.Context, dst *fasthttp.Response, req *fasthttp.Request, w *waiter, at dialect.ResourceCall) error {
	if w.challenge {
		if a := webhook.BeforeVerify(req, w.Verify.VerifyToken); a != nil {
			a.Write(dst)
			return nil
		}
	}
	if !req.Header.IsPost() {
		return &dialect.Fault{Status: fasthttp.StatusMethodNotAllowed, Text: "Method not allowed", Allow: fasthttp.MethodPost}
	}
	remote, _ := netip.ParseAddr(at.Remote) // what is none is in no network
	if err := w.verifier.Check(req, remote, at.Now); err != nil {
		t.counts.count(w, countedUnauthorized)
		t.log.Debug().Err(err).Str("waiter", w.Name).Msg("a callback was not verified")
		return &dialect.Fault{Status: fasthttp.StatusUnauthorized, Text: "Not verified", Authenticate: w.authenticate(), Err: err}
	}
	if w.challenge {
		if a := webhook.AfterVerify(req); a != nil {
			a.Write(dst)
			return nil
		}
	}
	body, err := w.body.Read(req)
	if errors.Is(err, webhook.ErrCoding) {
		t.counts.count(w, countedRefused)
		return &dialect.Fault{Status: fasthttp.StatusUnsupportedMediaType, Text: "Content-Encoding is not supported: send the body as it is"}
	}
	if err != nil {
		return t.refused(dst, w, err.Error())
	}
	if !w.several {
		r := t.receive(ctx, w, body)
		ops := []opAnswer{r.wait(ctx)}
		t.counts.count(w, ops[0].outcome)
		if ops[0].status == fasthttp.StatusAccepted {
			writeTaken(dst)
			return nil
		}
		write(dst, ops[0].status, ops)
		return nil
	}
	return t.receiveAll(ctx, dst, w, body)
}

// authenticate is the WWW-Authenticate of a 401; empty: the default dialect's.
func (w *waiter) authenticate() string {
	if w.Verify.User != "" {
		return `Basic realm="callbacks"`
	}
	return ""
}

// refused says what is wrong with a body.
func (t *Table) refused(dst *fasthttp.Response, w *waiter, what string) error {
	a := invalid(what)
	t.counts.count(w, a.outcome)
	write(dst, a.status, []opAnswer{a})
	return nil
}
