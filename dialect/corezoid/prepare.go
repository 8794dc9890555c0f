package corezoid

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/internal/callbackdata"
	"syncgate/internal/splice"
)

// Values of gateway.Asked.Data: what becomes the data of a route's task.
const (
	DataMembers = "members" // the members of the JSON body
	DataRequest = "request" // the request, as an API gateway of the vendor gives it to a process
	DataBoth    = "both"    // the members, and the request beside them
	DataRaw     = "raw"     // the body as text, or in base64
)

const gatewayMember = "api_gateway" // of a task's data: the request, and where its process calls back [documented: API gateway]

// signedBy is what Prepare keeps for Encode: the login that signs.
type signedBy string

// Prepare makes the package of what a route asks for: one task, or one for each of its elements. Its errors are *dialect.Fault.
func (d *Dialect) Prepare(c *dialect.Call) error {
	asked := *c.Options.Asked
	if asked.Elements == nil {
		asked.Elements = [][]byte{asked.Body}
	}
	if len(asked.Elements) != len(c.Ops) {
		return &dialect.Fault{Status: fasthttp.StatusInternalServerError, Text: "Internal error: the call has not one op for each of its elements"}
	}
	s := d.borrow()
	defer d.giveBack(s)
	p := taskPackage{d: d, s: s, asked: &asked}
	c.Options.Prepared = signedBy(asked.Signer)
	local := false
	if w := d.waiters.Load(); w != nil {
		var err error
		if local, err = p.name(w, c); err != nil {
			return err
		}
	}
	for i := range c.Ops {
		c.Ops[i].Process = []byte(asked.Process)
	}
	if local {
		return nil
	}
	random := s.ids.next()
	p.put(`{"ops":[`)
	for i := range c.Ops {
		if i > 0 {
			p.put(",")
		}
		asked.Body = asked.Elements[i]
		id, match := ownID(random, i)
		op := &c.Ops[i]
		op.Match, op.Added = match, true
		if err := p.task(id); err != nil {
			return err
		}
	}
	p.put("]}")
	c.Body, c.Slots = p.dst, p.holes
	return nil
}

// task appends the op that creates a task.
func (p *taskPackage) task(id string) error {
	p.put(`{"type":"create","obj":"task",`)
	p.put(id)
	if isNumber([]byte(p.asked.Process)) {
		p.put(`,"conv_id":` + p.asked.Process)
	} else {
		p.put(`,"obj_alias":` + quote(p.asked.Process))
	}
	p.put(`,"data":`)
	if err := p.data(); err != nil {
		return err
	}
	p.put("}")
	return nil
}

// taskPackage is the package of a route's tasks while it is made.
type taskPackage struct {
	d     *Dialect
	s     *scratch
	asked *dialect.Asked // whose Body is that of the task
	dst   []byte
	holes []int // in dst: where tokens go, as many for each task
}

func (p *taskPackage) put(text string) { p.dst = append(p.dst, text...) }

// data appends the task's data.
func (p *taskPackage) data() error {
	if err := p.content(true); err != nil {
		return err
	}
	p.callbackURL()
	p.trace()
	p.headers()
	p.put("}")
	return nil
}

// content appends the task's data up to what is ours: all but its closing bracket, with a comma behind its last member. url: with the member
// api_gateway, which has the callback URL.
func (p *taskPackage) content(url bool) error {
	switch p.asked.Data {
	case DataRequest:
		p.put("{")
		if err := p.request(true); err != nil {
			return err
		}
		p.put(",")
		if url {
			p.gateway()
		}
	case DataRaw:
		p.put("{")
		p.raw()
		p.put(",")
	case DataBoth, DataMembers, "":
		if err := p.members(); err != nil {
			return err
		}
		if p.asked.Data == DataBoth && url {
			p.gateway()
		}
	default:
		return &dialect.Fault{Status: fasthttp.StatusInternalServerError, Text: "Internal error: the route's data is none of members, request, both, raw"}
	}
	return nil
}

// members appends the client's object up to its closing bracket, with a comma behind its last member. What is ours is cut.
func (p *taskPackage) members() error {
	body := p.asked.Body
	if len(bytes.TrimLeft(body, blanks)) == 0 {
		body = []byte("{}")
	}
	j, theirs := &p.s.json, []string{callbackMember, headersMember}
	if p.d.trace {
		theirs = append(theirs, traceMember)
	}
	if p.asked.Data == DataBoth {
		theirs = append(theirs, gatewayMember)
	}
	err := j.Reset(body)
	if err == nil && j.Peek() != splice.Object {
		if _, err = j.Value(); err == nil {
			err = &problem{"", "must be a JSON object"}
		}
	}
	if err == nil {
		var items splice.Items
		if items, err = j.CutMembers(&p.s.edits, theirs); err == nil {
			items.Append(`"":0`, 0) // which is taken away again: it brings the comma
		}
	}
	if err == nil {
		err = j.Close()
	}
	if err != nil {
		return bodyFault(err)
	}
	p.dst, _ = p.s.edits.Apply(p.dst, body, nil)
	p.s.edits.Reset()
	p.dst = p.dst[:bytes.LastIndex(p.dst, []byte(`"":0`))]
	return nil
}

// callbackURL appends the member of the task's data where its process finds the URL.
func (p *taskPackage) callbackURL() {
	p.holes = append(p.holes, len(p.dst)+p.d.hole)
	p.put(p.d.callbackURL)
}

// trace appends the member with the trace that the task is part of.
func (p *taskPackage) trace() {
	if p.d.trace && p.asked.Traceparent != "" {
		p.put(`,"` + traceMember + `":` + quote(p.asked.Traceparent))
	}
}

// headers appends the headers that forward_headers of the route names.
func (p *taskPackage) headers() {
	if len(p.asked.Forwarded) > 0 {
		p.put(`,"` + headersMember + `":`)
		p.object(p.asked.Forwarded)
	}
}

// gateway appends the member api_gateway and a comma.
func (p *taskPackage) gateway() {
	p.put(`"` + gatewayMember + `":{"callback_url":`)
	url := strings.TrimPrefix(p.d.callbackURL, quote(callbackMember)+":")
	p.holes = append(p.holes, len(p.dst)+p.d.hole-(len(p.d.callbackURL)-len(url)))
	p.put(url + `,"request":{`)
	_ = p.request(false) // it has no error
	p.put("}},")
}

// request appends the members of the request. whole: with its parameters and its query apart.
func (p *taskPackage) request(whole bool) error {
	p.put(`"method":` + quote(p.asked.Method) + `,"path":`)
	p.dst = appendQuoted(p.dst, p.asked.Path)
	if whole {
		p.put(`,"params":`)
		p.object(p.asked.Params)
		query, err := callbackdata.Form(nil, p.asked.Query)
		if err != nil {
			return bodyFault(err)
		}
		p.put(`,"query":`)
		p.dst = append(p.dst, query...)
	}
	p.put(`,"headers":`)
	p.object(p.asked.Headers)
	p.put(",")
	p.body()
	return nil
}

// object appends names with their values. Of repeated names the values are joined, as RFC 9110 (5.3) allows.
func (p *taskPackage) object(list []dialect.Param) {
	p.put("{")
	joined, order := make(map[string]string, len(list)), make([]string, 0, len(list))
	for _, one := range list {
		before, there := joined[one.Name]
		if there {
			joined[one.Name] = before + ", " + one.Value
			continue
		}
		joined[one.Name] = one.Value
		order = append(order, one.Name)
	}
	for i, name := range order {
		if i > 0 {
			p.put(",")
		}
		p.put(quote(name) + ":" + quote(joined[name]))
	}
	p.put("}")
}

// body appends the member with the body: JSON as it is, anything else as raw does.
func (p *taskPackage) body() {
	j := &p.s.json
	if err := j.Reset(p.asked.Body); err == nil {
		if whole, err := j.Value(); err == nil && j.Close() == nil {
			p.put(`"body":`)
			p.dst = append(p.dst, whole.Of(p.asked.Body)...)
			return
		}
	}
	p.raw()
}

// raw appends the body as text, or in base64 where it is no text.
func (p *taskPackage) raw() {
	if utf8.Valid(p.asked.Body) {
		p.put(`"body":`)
		p.dst = appendQuoted(p.dst, p.asked.Body)
		return
	}
	p.put(`"body":"`)
	p.dst = base64.StdEncoding.AppendEncode(p.dst, p.asked.Body)
	p.put(`","encoding":"base64"`)
}

// isRouted reports whether a route has made a call, so that its client speaks no Corezoid.
func isRouted(c *dialect.Call) bool {
	if c.Options == nil {
		return false
	}
	_, routed := c.Options.Prepared.(signedBy)
	return routed
}
