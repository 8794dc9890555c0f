// Package taskmeta is what a record says of a task beside its finals, in the form that stores hold.
package taskmeta

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// Meta is what a record needs beside its finals to be worded as the reply was. Stores hold its JSON form: a member that is new is left out where it is zero,
// and none changes its name, as nodes of two versions read it.
type Meta struct {
	Login        string `json:"login"`
	Dialect      string `json:"dialect,omitempty"` // that made it; empty: the default one
	Engine       string `json:"engine,omitempty"`  // that has it; empty: the default one
	Route        string `json:"route,omitempty"`
	State        []byte `json:"state,omitempty"`
	Data         []byte `json:"data,omitempty"` // of the request, for a result that is laid over it
	Guarded      bool   `json:"guarded,omitempty"`
	HandedOver   bool   `json:"handed_over,omitempty"` // its client did not wait, or comes back for the result
	Acked        bool   `json:"acked,omitempty"`       // the engine has answered
	Accepted     []byte `json:"accepted,omitempty"`    // of its answer
	Created      int64  `json:"created,omitempty"`     // Unix milliseconds
	Until        int64  `json:"until,omitempty"`       // Unix milliseconds: when ops that are open time out; 0: they do not
	TimeoutGiven bool   `json:"timeout_given,omitempty"`
	Trace        string `json:"trace,omitempty"` // of the request: its traceparent, if it is recorded
	Ops          []Op   `json:"ops"`
}

// Op is what a record needs of an op.
type Op struct {
	ID      []byte `json:"id,omitempty"` // []byte and not RawMessage: not a byte may change
	Ref     []byte `json:"ref,omitempty"`
	Refused string `json:"refused,omitempty"`
}

// Parse reads what Append has written. Its error quotes nothing.
func Parse(b []byte) (m Meta, err error) {
	if json.Unmarshal(b, &m) != nil { // whose error quotes it
		return m, errors.New("taskmeta: it is not what this program writes")
	}
	return m, nil
}

// Append appends the JSON form. Each request with an Idempotency-Key needs it twice, so it is written by hand: package json allocates, and takes five times
// as long.
func (m *Meta) Append(dst []byte) []byte {
	dst = appendText(append(dst, `{"login":`...), m.Login)
	dst = text(dst, `,"dialect":`, m.Dialect)
	dst = text(dst, `,"engine":`, m.Engine)
	dst = text(dst, `,"route":`, m.Route)
	dst = bytes(dst, `,"state":`, m.State)
	dst = bytes(dst, `,"data":`, m.Data)
	dst = flag(dst, `,"guarded":true`, m.Guarded)
	dst = flag(dst, `,"handed_over":true`, m.HandedOver)
	dst = flag(dst, `,"acked":true`, m.Acked)
	dst = bytes(dst, `,"accepted":`, m.Accepted)
	dst = number(dst, `,"created":`, m.Created)
	dst = number(dst, `,"until":`, m.Until)
	dst = flag(dst, `,"timeout_given":true`, m.TimeoutGiven)
	dst = text(dst, `,"trace":`, m.Trace)
	dst = append(dst, `,"ops":[`...)
	for i := range m.Ops {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = m.Ops[i].append(dst)
	}
	return append(dst, "]}"...)
}

func (o *Op) append(dst []byte) []byte {
	begin := len(dst)
	dst = bytes(dst, `,"id":`, o.ID)
	dst = bytes(dst, `,"ref":`, o.Ref)
	dst = text(dst, `,"refused":`, o.Refused)
	if len(dst) == begin {
		return append(dst, "{}"...)
	}
	dst[begin] = '{'
	return append(dst, '}')
}

// text, bytes, flag and number append a member, unless its value is zero.
func text(dst []byte, member, value string) []byte {
	if value == "" {
		return dst
	}
	return appendText(append(dst, member...), value)
}

func bytes(dst []byte, member string, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = append(append(dst, member...), '"')
	return append(base64.StdEncoding.AppendEncode(dst, value), '"')
}

func flag(dst []byte, member string, value bool) []byte {
	if !value {
		return dst
	}
	return append(dst, member...)
}

func number(dst []byte, member string, value int64) []byte {
	if value == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, member...), value, 10)
}

// appendText appends a JSON string. Most are of letters and digits; package json words the others.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			b, _ := json.Marshal(strings.Clone(s)) // every string has a JSON form; of the clone, so that m can stay on its caller's stack
			return append(dst, b...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}
