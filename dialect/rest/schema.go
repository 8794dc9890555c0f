package rest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"github.com/valyala/fasthttp"

	"syncgate/dialect"
)

// schema is a JSON Schema that bodies have to fulfil.
type schema struct{ compiled *jsonschema.Schema }

const (
	mostSchema  = 1 << 20 // bytes of a schema's file
	mostDetails = 20      // problems of one body that its client hears
	mostDigits  = 400     // of a number that a schema looks at, and of the power of ten that it has
)

// loadSchema reads a schema. Its errors do not name the file, and quote nothing of it: a secret may have been written where the file was
// meant.
func loadSchema(file string) (*schema, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		why := "the file cannot be read"
		if errno, ok := errors.AsType[syscall.Errno](err); ok {
			why += ": " + errno.Error()
		}
		return nil, errors.New(why)
	}
	return newSchema(text)
}

// newSchema compiles a schema. What it refers to stands in itself, or is a meta-schema: nothing is fetched.
func newSchema(text []byte) (*schema, error) {
	if len(text) > mostSchema {
		return nil, fmt.Errorf("the file has %d bytes: at most %d are possible", len(text), mostSchema)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, errors.New("the file is not JSON")
	}
	const here = "syncgate:///schema" // not a URL of anything: only what stands in the document is found below it
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	var elsewhere foreignLoader
	c.UseLoader(&elsewhere)
	if err := c.AddResource(here, document); err != nil {
		return nil, errors.New("the file is not a JSON Schema")
	}
	compiled, err := c.Compile(here)
	switch {
	case elsewhere.asked:
		return nil, errors.New("the schema refers to another document, which is not fetched: put it into $defs")
	case err != nil:
		return nil, errors.New("the file is not a JSON Schema (draft 2020-12), or has a pattern that RE2 does not know")
	}
	return &schema{compiled}, nil
}

// foreignLoader loads nothing, and remembers that it was asked to.
type foreignLoader struct{ asked bool }

func (l *foreignLoader) Load(string) (any, error) {
	l.asked = true
	return nil, errors.New("nothing is fetched")
}

// check refuses a body that does not fulfil the schema.
func (s *schema) check(body []byte) *dialect.Fault {
	if len(body) == 0 {
		body = []byte("{}")
	}
	plain, err := plainNumbers(body)
	if err == nil && !plain {
		return unfulfilled([]dialect.Detail{{Text: fmt.Sprintf("has a number of more than %d digits, which the schema cannot look at", mostDigits)}})
	}
	var value any
	if err == nil {
		value, err = jsonschema.UnmarshalJSON(bytes.NewReader(body))
	}
	if err != nil { // it was checked before, but names that repeat could hide one of them from the schema
		return &dialect.Fault{
			Status: fasthttp.StatusBadRequest, Reason: dialect.BadBody, Text: "Incorrect body: it is not JSON, has a name twice, or an escape that is no character",
		}
	}
	if err = s.compiled.Validate(value); err == nil {
		return nil
	}
	var details []dialect.Detail
	if bad, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		details = detailsOf(bad, nil)
	}
	return unfulfilled(details)
}

func unfulfilled(details []dialect.Detail) *dialect.Fault {
	return &dialect.Fault{
		Status: fasthttp.StatusUnprocessableEntity, Reason: dialect.BadBody, Text: "The body does not fulfil the schema of this route", Details: details,
	}
}

// plainNumbers reports whether all numbers of a body are of a size that arithmetic without limits is cheap for. An error says that it is not
// JSON, or has a name twice.
func plainNumbers(body []byte) (plain bool, err error) {
	plain = true
	d := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.ReadToken()
		switch {
		case errors.Is(err, io.EOF):
			return plain, nil
		case err != nil:
			return false, err
		case token.Kind() == '0':
			plain = plain && plainNumber(token.String())
		}
	}
}

func plainNumber(text string) bool {
	digits, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	n, err := strconv.Atoi(exponent)
	return len(digits) <= mostDigits && (exponent == "" || err == nil && -mostDigits <= n && n <= mostDigits)
}

// detailsOf adds the problems of which an error consists: those that have no causes of their own.
func detailsOf(e *jsonschema.ValidationError, details []dialect.Detail) []dialect.Detail {
	for _, cause := range e.Causes {
		details = detailsOf(cause, details)
	}
	if len(e.Causes) > 0 || len(details) >= mostDetails {
		return details
	}
	return append(details, dialect.Detail{Pointer: pointerOf(e.InstanceLocation), Text: problemOf(e.ErrorKind)})
}

// pointerOf gives the JSON Pointer of a location.
func pointerOf(location []string) string {
	var b strings.Builder
	for _, name := range location {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return b.String()
}

// problemOf words a problem. It shows what the schema says, and nothing of the body.
func problemOf(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Required:
		return "must have the member " + strings.Join(k.Missing, ", ")
	case *kind.Type:
		return "must be of type " + strings.Join(k.Want, " or ")
	case *kind.AdditionalProperties:
		return "has a member that is not known"
	case *kind.Minimum:
		return "must be at least " + k.Want.RatString()
	case *kind.Maximum:
		return "must be at most " + k.Want.RatString()
	case *kind.MinLength:
		return "must have at least " + strconv.Itoa(k.Want) + " characters"
	case *kind.MaxLength:
		return "must have at most " + strconv.Itoa(k.Want) + " characters"
	case *kind.MinItems:
		return "must have at least " + strconv.Itoa(k.Want) + " elements"
	case *kind.MaxItems:
		return "must have at most " + strconv.Itoa(k.Want) + " elements"
	case *kind.Pattern:
		return "must match the pattern " + k.Want
	case *kind.Enum, *kind.Const:
		return "must be one of the values that the schema names"
	}
	if keyword := strings.Join(k.KeywordPath(), "/"); keyword != "" {
		return "must fulfil " + keyword + " of the schema"
	}
	return "must fulfil the schema"
}
