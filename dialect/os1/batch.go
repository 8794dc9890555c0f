package os1

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
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
func (c *Config) Split(r *Request, most int) ([]Element, *dialect.Fault) {
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

func badBatch(text string) *dialect.Fault {
	return &dialect.Fault{Status: fasthttp.StatusBadRequest, Reason: dialect.BadBody, Text: "Incorrect body: " + text}
}

// batch is a body while it is taken apart.
type batch struct {
	r        splice.Reader
	member   string
	most     int
	found    bool
	elements []Element
	seen     map[string]int // by refID: the element that has it
	problems []dialect.Detail
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
			b.problems = append(b.problems, dialect.Detail{Pointer: pointer, Text: problem})
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

// HasSuccess reports whether some element of a batch has a result. finals is as for Result.
func (s *State) HasSuccess(finals []correlator.Callback) bool {
	complete := func(f correlator.Callback) bool { return f.Status == correlator.Complete }
	return len(s.Refs) > 0 && slices.ContainsFunc(finals, complete)
}

// outcomes are what has become of the elements of a batch.
type outcomes struct {
	success, errors []byte // JSON arrays
	succeeded       int
	failed          int
}

// outcomesOf gives them. finals has one for each element, or one for all of them where the engine has got the batch as one task: then the members success
// and errors of its result are the arrays. If it has none, every element has failed.
func (s *State) outcomesOf(finals []correlator.Callback) outcomes {
	if s.Whole {
		if o, ok := reported(&finals[0]); ok {
			return o
		}
	}
	var o outcomes
	for i := range s.Refs {
		f := &finals[min(i, len(finals)-1)]
		e := failureOf(f)
		switch {
		case s.Whole && f.Status == correlator.Complete:
			e.text = "The engine's result does not say what has become of each element"
		case f.Status == correlator.Complete:
			o.success = appendAny(append(entry(o.success, s.Refs[i]), `,"data":`...), contentType(f), f.Body)
			o.success, o.succeeded = append(o.success, '}'), o.succeeded+1
			continue
		}
		o.errors = e.append(append(entry(o.errors, s.Refs[i]), `,"error":`...))
		o.errors, o.failed = append(o.errors, '}'), o.failed+1
	}
	o.success, o.errors = inArray(o.success), inArray(o.errors)
	return o
}

// entry begins one of an array's.
func entry(dst []byte, ref string) []byte {
	if len(dst) > 0 {
		dst = append(dst, ',')
	}
	return append(append(dst, `{"refID":`...), ref...)
}

func inArray(entries []byte) []byte { return append(append([]byte{'['}, entries...), ']') }

// reported gives the outcomes that an engine reports of a whole batch. Not ok: its result has not both arrays.
func reported(f *correlator.Callback) (o outcomes, ok bool) {
	var r splice.Reader
	if f.Status != correlator.Complete || !walks(&r, contentType(f), f.Body) || kindOf(&r, f.Body) != splice.Object {
		return o, false
	}
	again := r.Again(splice.Span{End: len(f.Body)})
	_, _ = again.Enter() // none of these fails: the text was walked
	for {
		m, more, _ := again.Member()
		if !more {
			return o, o.success != nil && o.errors != nil
		}
		is := again.Peek()
		value, _ := again.Value()
		switch name := string(m.Name); {
		case is != splice.Array:
		case name == "success":
			o.success, o.succeeded = again.Raw(value), elementsIn(again.Again(value))
		case name == "errors":
			o.errors, o.failed = again.Raw(value), elementsIn(again.Again(value))
		}
	}
}

// elementsIn counts those of an array that was walked.
func elementsIn(r splice.Reader) (n int) {
	_, _ = r.Enter()
	for {
		more, _ := r.Element()
		if !more {
			return n
		}
		_, _ = r.Value()
		n++
	}
}

// appendBatch appends what the callback of a batch says. Its status is success if every element has a result.
func (s *State) appendBatch(dst []byte, task string, o *outcomes, place string) []byte {
	if o.failed == 0 {
		dst = append(dst, `,"status":"success","reason":"","data":{"id":`...)
	} else {
		dst = append(dst, `,"status":"failed","reason":"`...)
		dst = fmt.Appendf(dst, `%d of %d have failed","data":{"id":`, o.failed, o.failed+o.succeeded)
	}
	dst = appendText(dst, []byte(task))
	if place != "" {
		dst = append(appendText(append(dst, `,"_links":{"result":{"href":`...), []byte(place)), "}}"...)
	}
	return o.append(append(dst, "},"...), s.Meta)
}

// AppendPlace appends the body of the callback for a batch whose outcomes have no room in one. place is where they are: data._links.result.href. The
// arrays success and errors are empty, and meta counts what would be in them. For what is no batch it is AppendCallback.
func (s *State) AppendPlace(dst []byte, task string, finals []correlator.Callback, place string) []byte {
	if len(s.Refs) == 0 {
		return s.AppendCallback(dst, task, finals)
	}
	o := s.outcomesOf(finals)
	o.success, o.errors = []byte("[]"), []byte("[]")
	return s.appendMembers(s.appendBatch(s.appendHead(dst), task, &o, place))
}

// append appends the members meta, success and errors. Members of the client's own meta come first.
func (o *outcomes) append(dst []byte, meta string) []byte {
	status := "partial"
	switch 0 {
	case o.failed:
		status = "success"
	case o.succeeded:
		status = "failed"
	}
	dst = append(dst, `"meta":{`...)
	if own := otherMeta(meta); own != "" {
		dst = append(append(dst, own...), ',')
	}
	dst = fmt.Appendf(dst, `"status":"%s","success":%d,"failed":%d,"total":%d}`, status, o.succeeded, o.failed, o.succeeded+o.failed)
	dst = append(append(dst, `,"success":`...), o.success...)
	return append(append(dst, `,"errors":`...), o.errors...)
}

// otherMeta gives the members of a client's meta that are none of a batch's own. The meta of a batch is an object.
func otherMeta(meta string) string {
	var r splice.Reader
	var edits splice.Edits
	if r.Reset([]byte(meta)) != nil || r.Peek() != splice.Object {
		return ""
	}
	if _, err := r.CutMembers(&edits, []string{"status", "success", "failed", "total"}); err != nil {
		return ""
	}
	whole, _ := edits.Apply(nil, []byte(meta), nil)
	return strings.Trim(strings.TrimSuffix(strings.TrimPrefix(string(whole), "{"), "}"), " \t\r\n")
}
