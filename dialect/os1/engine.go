package os1

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/internal/httpfield"
	"syncgate/internal/splice"
	"syncgate/signer"
)

// Kind is what the configuration says of engines of this package.
const Kind = "os1"

// EngineConfig is the section os1 of an engine. The rest of its configuration is that of package httpengine.
type EngineConfig struct {
	CallbackSecret     signer.Secret    `yaml:"callback_secret"` // goes with each request, and signs the callbacks; empty: they are not signed
	CallbackSecretFile string           `yaml:"callback_secret_file"`
	Signature          signer.OS1Scheme `yaml:"signature"` // empty: hmac-sha256
}

// HTTP gives what package httpengine does for an engine of kind os1.
func HTTP(c httpengine.Config) httpengine.Config {
	if c.Accepted == nil {
		c.Accepted = []int{http.StatusAccepted}
	}
	c.CallbackURL = httpengine.CallbackURL{Member: callbackMember + ".url"}
	c.Result = "data"
	c.Status = httpengine.Status{From: "status", Map: map[string]string{"success": "complete", "failed": "error"}}
	return c.Filled()
}

// Filled gives a configuration with what is not set as it is by default for an engine of kind os1.
func Filled(c httpengine.Config) httpengine.Config {
	f := HTTP(c)
	f.CallbackURL, f.Result, f.Status = c.CallbackURL, c.Result, c.Status // which are always the same
	return f
}

// Validate gives every problem of an engine at once, joined; each begins with its key below that of the engine. c is what the configuration says.
func (e *EngineConfig) Validate(c httpengine.Config) error {
	all := alwaysTheSame(c)
	add := func(text string) { all = append(all, errors.New(text)) }
	for _, name := range []string{HeaderTenant, HeaderAccess} {
		if !hasHeader(c.Headers, name) {
			add("headers: must have " + name + ": the engine wants it with every request")
		}
	}
	for _, name := range []string{HeaderRequestID, HeaderCallbackSecret} {
		if hasHeader(c.Headers, name) {
			add("headers: has " + name + ", which the gateway sets itself: remove it")
		}
	}
	if bad := func(c rune) bool { return c < ' ' || c > '~' }; strings.ContainsFunc(string(e.CallbackSecret), bad) || len(e.CallbackSecret) > MostSecret {
		add(fmt.Sprintf("os1.callback_secret: must be at most %d ASCII characters, as it goes into a header", MostSecret))
	}
	if e.Signature != "" && !e.Signature.Valid() {
		add(fmt.Sprintf("os1.signature: must be one of: %s, %s", signer.OS1HMAC, signer.OS1Concat))
	}
	if c.Method == http.MethodGet || c.Method == http.MethodDelete {
		add("method: must be one of: POST, PUT, PATCH, as the engine finds the callback in the body")
		c.Method = http.MethodPost
	}
	return errors.Join(append(all, HTTP(c).Validate())...)
}

// alwaysTheSame refuses keys of kind http that this kind does not have.
func alwaysTheSame(c httpengine.Config) (all []error) {
	for _, key := range []struct {
		name, member string
		set          bool
	}{
		{"callback_url", callbackMember, c.CallbackURL != (httpengine.CallbackURL{})},
		{"result", "data", c.Result != ""},
		{"status", "status", c.Status.From != "" || len(c.Status.Map) > 0},
	} {
		if key.set {
			all = append(all, fmt.Errorf("%s: is always the member %s for this kind: remove it", key.name, key.member))
		}
	}
	return all
}

func hasHeader(all map[string]signer.Secret, name string) bool {
	for one, value := range all {
		if strings.EqualFold(one, name) && value != "" {
			return true
		}
	}
	return false
}

// Engine asks an engine that speaks OS1's asynchronous APIs. It is safe for concurrent use.
type Engine struct {
	*httpengine.Engine
	secret []byte // empty: callbacks are not signed
	scheme signer.OS1Scheme
}

var (
	_ dialect.Engine    = (*Engine)(nil)
	_ dialect.Canceller = (*Engine)(nil)
)

// New makes an Engine. The error is that of e.Validate.
func New(e EngineConfig, c httpengine.Config, o httpengine.Options) (*Engine, error) {
	if err := e.Validate(c); err != nil {
		return nil, fmt.Errorf("engine %s: %w", c.Name, err)
	}
	o.TaskID = "data.id"
	inner, err := httpengine.New(HTTP(c), o)
	if err != nil {
		return nil, err
	}
	return &Engine{Engine: inner, secret: []byte(e.CallbackSecret), scheme: e.Signature}, nil
}

// Prepare makes the request of what a route asks for. The member callback is ours alone: the client's own does not reach the engine.
func (e *Engine) Prepare(c *dialect.Call) error {
	asked := *c.Options.Asked
	id, forwarded := "", []dialect.Param(nil)
	for _, p := range asked.Forwarded {
		switch lower := strings.ToLower(p.Name); {
		case IsCredential(lower):
		case lower == strings.ToLower(HeaderRequestID):
			id = p.Value
		default:
			forwarded = append(forwarded, p)
		}
	}
	if id == "" {
		id = newRequestID()
	}
	forwarded = append(forwarded, dialect.Param{Name: HeaderRequestID, Value: id})
	if len(e.secret) > 0 {
		forwarded = append(forwarded, dialect.Param{Name: HeaderCallbackSecret, Value: string(e.secret)})
	}
	body, err := withMeta(asked.Body, id)
	if err != nil {
		return &dialect.Fault{Status: fasthttp.StatusBadRequest, Reason: dialect.BadBody, Text: "Incorrect body: " + err.Error()}
	}
	asked.Forwarded, asked.Body = forwarded, body
	defer func(theirs *dialect.Asked) { c.Options.Asked = theirs }(c.Options.Asked)
	c.Options.Asked = &asked
	return e.Engine.Prepare(c)
}

// newRequestID makes the X-COREOS-REQUEST-ID of a task: a random UUID.
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the runtime stops the process instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	text := hex.EncodeToString(b[:])
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

// withMeta replaces the member callback of a body by one that has our meta. The engine of package httpengine puts the URL into it, and refuses what
// follows the object.
func withMeta(body []byte, requestID string) ([]byte, error) {
	if len(bytes.TrimLeft(body, " \t\r\n")) == 0 {
		body = []byte("{}")
	}
	var r splice.Reader
	var edits splice.Edits
	if err := r.Reset(body); err != nil {
		return nil, err
	}
	if r.Peek() != splice.Object {
		return nil, errors.New("it must be a JSON object: the engine finds the callback in it")
	}
	items, err := r.CutMembers(&edits, []string{callbackMember})
	if err != nil {
		return nil, err
	}
	items.Append(string(append(appendText([]byte(`"`+callbackMember+`":{"meta":{"requestId":`), []byte(requestID)), "}}"...)), 0)
	body, _ = edits.Apply(make([]byte, 0, len(body)+edits.Growth()), body, nil)
	return body, nil
}

// Callback reads what the engine calls back with: its status decides, data is the result. Of a task that has failed the body is {"message","data"}: the
// engine's reason, and what it has sent beside it. The callback of a batch, which has the arrays success and errors, is the result as it is, whatever
// its status. With a secret a callback that is not signed by it is refused with 401.
func (e *Engine) Callback(req *fasthttp.Request, op int) (cb correlator.Callback, answer []byte, err error) {
	if len(e.secret) > 0 {
		if err = e.verify(req); err != nil {
			return cb, nil, err
		}
	}
	whole := correlator.Callback{Op: op, Status: correlator.Complete, Body: req.Body()}
	if status, err := dialect.StatusOf(req); err == nil && status == correlator.Open && httpfield.ContentCoding(&req.Header) == nil {
		if _, ok := reported(&whole); ok {
			whole.Body = bytes.Clone(whole.Body)
			return whole, []byte("{}"), nil
		}
	}
	if cb, answer, err = e.Engine.Callback(req, op); err != nil || cb.Status != correlator.Errored {
		return cb, answer, err
	}
	if body, ok := failureBody(cb.Body); ok {
		cb.Body = body
		if cb.Head != nil {
			cb.Head.ContentType = jsonType
		}
	}
	return cb, answer, nil
}

// verify refuses what the secret has not signed: only what is in a body is.
func (e *Engine) verify(req *fasthttp.Request) error {
	refused := func(text string) error {
		return &dialect.Fault{Status: fasthttp.StatusUnauthorized, Reason: dialect.BadSignature, Text: "Incorrect callback: " + text}
	}
	all := req.Header.PeekAll(HeaderSignature)
	if len(all) != 1 {
		return refused(HeaderSignature + " must stand there once, as os1.callback_secret is set")
	}
	want := signer.AppendOS1Signature(nil, e.scheme, req.Body(), e.secret)
	if subtle.ConstantTimeCompare(bytes.ToLower(all[0]), want) != 1 {
		return refused("its signature is not that of os1.callback_secret")
	}
	status, err := dialect.StatusOf(req)
	if err != nil {
		return err
	}
	if status != correlator.Open || req.Header.IsGet() {
		return refused("only its body is signed: nothing may be said in its query or X-Callback-Status")
	}
	return nil
}

// failureBody makes what is kept of a callback that says that the task has failed. Not ok: it is no object, and is kept as it is.
func failureBody(body []byte) (made []byte, ok bool) {
	var r splice.Reader
	if !walks(&r, jsonType, body) || kindOf(&r, body) != splice.Object {
		return nil, false
	}
	again := r.Again(splice.Span{End: len(body)})
	_, _ = again.Enter() // none of these fails: the text was walked
	var reason, data []byte
	for {
		m, more, _ := again.Member()
		if !more {
			break
		}
		is := again.Peek()
		value, _ := again.Value()
		switch name := string(m.Name); {
		case name == "reason" && is == splice.String:
			reason = again.Text(value)
		case name == "reason" && is != splice.Null:
			reason = again.Raw(value)
		case name == "data" && is != splice.Null:
			data = again.Raw(value)
		}
	}
	if len(reason) == 0 {
		reason = []byte("The engine gives no reason")
	}
	made = appendText([]byte(`{"message":`), reason)
	if data != nil {
		made = append(append(made, `,"data":`...), data...)
	}
	return append(made, '}'), true
}
