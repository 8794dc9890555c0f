package os1

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/gateway"
	"syncgate/internal/splice"
)

// Element is one task of a batch. It points into the body.
type Element struct {
	RefID []byte // as it was sent: a JSON string or number
	Body  []byte // the element itself, as it was sent
}

const (
	refMember = "refID"
	// MostRefID bounds a refID, in bytes.
	MostRefID = 256
)

// Split takes the body of a batch apart, for a route that has Config.Batch. most bounds the number of elements. A fault has status 400, and says of
// every element what is wrong with it, of the first 20.
func (c *Config) Split(r *Request, most int) ([]Element, *gateway.Fault) {
	if meta := bytes.TrimLeft(r.Callback.Meta, " \t\r\n"); len(meta) > 0 && meta[0] != '{' {
		return nil, badCallback(*callbackDetail("meta", "it must be an object, as the meta of a batch has members of its own"))
	}
	b := batch{member: c.Batch, most: most, seen: make(map[string]int)}
	if err := b.r.Reset(r.Body); err != nil {
		return nil, badBatch(err.Error())
	}
	if b.r.Peek() != splice.Object {
		return nil, badBatch("must be an object with the array " + c.Batch)
	}
	if err := b.whole(); err != nil {
		return nil, badBatch(err.Error())
	}
	switch {
	case len(b.problems) > 0:
		f := badBatch("not every element of " + c.Batch + " is acceptable")
		f.Details = b.problems
		return nil, f
	case len(b.elements) == 0:
		return nil, badBatch("the array " + c.Batch + " is empty")
	}
	return b.elements, nil
}

func badBatch(text string) *gateway.Fault {
	return &gateway.Fault{Status: fasthttp.StatusBadRequest, Reason: gateway.BadBody, Text: "Incorrect body: " + text}
}

// batch is a body while it is taken apart.
type batch struct {
	r        splice.Reader
	member   string
	most     int
	found    bool
	elements []Element
	seen     map[string]int // by refID: the element that has it
	problems []gateway.Detail
}

// mostProblems bounds what one answer says.
const mostProblems = 20

// whole reads the body's object.
func (b *batch) whole() error {
	if _, err := b.r.Enter(); err != nil {
		return err
	}
	for {
		m, more, err := b.r.Member()
		switch {
		case err != nil:
			return err
		case !more && !b.found:
			return fmt.Errorf("there is no array %s", b.member)
		case !more:
			return b.r.Close()
		case string(m.Name) != b.member:
			return fmt.Errorf("it has a member beside %s, which would go with no element: put it into each", b.member)
		case b.found:
			return fmt.Errorf("%s stands there more than once", b.member)
		case b.r.Peek() != splice.Array:
			return fmt.Errorf("there is no array %s", b.member)
		}
		b.found = true
		if err := b.array(); err != nil {
			return err
		}
	}
}

func (b *batch) array() error {
	if _, err := b.r.Enter(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := b.r.Element()
		if err != nil || !more {
			return err
		}
		if i == b.most {
			return fmt.Errorf("%s has more than %d elements", b.member, b.most)
		}
		is := b.r.Peek()
		at, err := b.r.Value()
		if err != nil {
			return err
		}
		b.element(i, is, at)
	}
}

// element notes one, or what is wrong with it.
func (b *batch) element(i int, is splice.Kind, at splice.Span) {
	ref, key, problem := []byte(nil), "", "it must be an object"
	if is == splice.Object {
		again := b.r.Again(at)
		ref, key, problem = refOf(&again)
	}
	if first, twice := b.seen[key]; problem == "" && twice {
		problem = "is the same as that of element " + strconv.Itoa(first)
	}
	if problem != "" {
		if len(b.problems) < mostProblems {
			pointer := "/" + escape(b.member) + "/" + strconv.Itoa(i)
			if is == splice.Object {
				pointer += "/" + refMember
			}
			b.problems = append(b.problems, gateway.Detail{Pointer: pointer, Text: problem})
		}
		return
	}
	b.seen[key] = i
	b.elements = append(b.elements, Element{RefID: ref, Body: b.r.Raw(at)})
}

// escape writes a name as a part of a JSON Pointer (RFC 6901).
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

// refOf gives the refID of an element, and what is the same for those that mean the same: "7" and 7 do, as many receivers do not tell them apart.
func refOf(r *splice.Reader) (ref []byte, key, problem string) {
	_, _ = r.Enter() // none of these fails: the text was walked
	for {
		m, more, _ := r.Member()
		if !more {
			break
		}
		is := r.Peek()
		value, _ := r.Value()
		switch raw := r.Raw(value); {
		case string(m.Name) != refMember:
		case ref != nil:
			return nil, "", "stands there more than once"
		case len(raw) > MostRefID:
			return nil, "", fmt.Sprintf("has more than %d bytes", MostRefID)
		case is == splice.String:
			ref, key = raw, string(r.Text(value))
		case is == splice.Number:
			ref, key = raw, string(raw)
		default:
			return nil, "", "must be a string or a number"
		}
	}
	if key == "" {
		return nil, "", "is missing or empty"
	}
	return ref, key, ""
}

// RefsOf gives what State.Refs records of elements.
func RefsOf(elements []Element) []string {
	refs := make([]string, len(elements))
	for i := range elements {
		refs[i] = string(elements[i].RefID)
	}
	return refs
}

// appendBatch appends what the callback of a batch says. Its status is success if every element has a result.
func (s *State) appendBatch(dst []byte, task string, finals []correlator.Callback) []byte {
	failed := countFailed(finals)
	if failed == 0 {
		dst = append(dst, `,"status":"success","reason":"","data":{"id":`...)
	} else {
		dst = append(dst, `,"status":"failed","reason":"`...)
		dst = fmt.Appendf(dst, `%d of %d have failed","data":{"id":`, failed, len(finals))
	}
	return s.appendOutcomes(append(appendText(dst, []byte(task)), "},"...), finals, s.Meta)
}

func countFailed(finals []correlator.Callback) (n int) {
	for i := range finals {
		if finals[i].Status != correlator.Complete {
			n++
		}
	}
	return n
}

// appendOutcomes appends the members meta, success and errors. Members of the client's own meta come first, if it is an object.
func (s *State) appendOutcomes(dst []byte, finals []correlator.Callback, meta string) []byte {
	failed := countFailed(finals)
	status := "partial"
	switch failed {
	case 0:
		status = "success"
	case len(finals):
		status = "failed"
	}
	dst = append(dst, `"meta":{`...)
	if own := otherMeta(meta); own != "" {
		dst = append(append(dst, own...), ',')
	}
	dst = fmt.Appendf(dst, `"status":"%s","success":%d,"failed":%d,"total":%d}`, status, len(finals)-failed, failed, len(finals))
	dst = s.appendEntries(append(dst, `,"success":[`...), finals, true)
	dst = s.appendEntries(append(dst, `],"errors":[`...), finals, false)
	return append(dst, ']')
}

// otherMeta gives the members of a client's meta that are none of a batch's own.
func otherMeta(meta string) string {
	var r splice.Reader
	var edits splice.Edits
	if meta == "" || r.Reset([]byte(meta)) != nil || r.Peek() != splice.Object {
		return ""
	}
	if _, err := r.CutMembers(&edits, []string{"status", "success", "failed", "total"}); err != nil {
		return ""
	}
	whole, _ := edits.Apply(nil, []byte(meta), nil)
	return strings.Trim(strings.TrimSuffix(strings.TrimPrefix(string(whole), "{"), "}"), " \t\r\n")
}

// appendEntries appends those of the elements that have a result, or of those that have none.
func (s *State) appendEntries(dst []byte, finals []correlator.Callback, complete bool) []byte {
	first := true
	for i := range finals {
		f := &finals[i]
		if (f.Status == correlator.Complete) != complete {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(dst, `{"refID":`...), s.Refs[i]...)
		if complete {
			dst = appendAny(append(dst, `,"data":`...), contentType(f), f.Body)
		} else {
			e := failureOf(f)
			dst = e.append(append(dst, `,"error":`...))
		}
		dst = append(dst, '}')
	}
	return dst
}
