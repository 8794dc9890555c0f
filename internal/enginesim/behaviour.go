package enginesim

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of what one task may ask for.
const (
	maxDelay      = time.Hour
	maxDuplicates = 1000
	maxRetries    = 1000
)

// Behaviour is what the engine does with a task. Each field names its flag; its member in __sim is the same with
// underscores, and with _ms where it is a time (a number of milliseconds).
type Behaviour struct {
	Ack      Ack           // -ack: how the create is answered
	AckDelay time.Duration // -ack-delay: how long the answer takes

	Callback   When          // -callback: when the engine calls back, relative to its own answer
	Delay      Range         // -delay: how long the task takes; in __sim a number or [least, most]
	Duplicates int           // -duplicates: how many times the callback is repeated after the first
	Gap        time.Duration // -gap: between those; 0 sends them at once, so that they race

	Method      string // -method: of the callback; GET, HEAD and DELETE carry the result in the query
	Format      Format // -format: of the callback's body
	ContentType string // -content-type: instead of the format's own
	Body        string // -body: instead of the task's data: {{data}}, {{obj_id}}, {{ref}}, {{n}} are replaced; in __sim any JSON value
	To          string // -to: host:port that is called instead of the callback URL's own
	SendSys     bool   // -send-sys: append conv_signature, conv_time and conv_id to the query

	Retries    int           // -retries: how often a callback is repeated that got no answer or a 5xx
	RetryDelay time.Duration // -retry-delay: before each repeat
}

// Ack is how a create is answered.
type Ack string

// What the vendor's API does in good and bad days. The first three are good answers.
const (
	AckOK       Ack = "ok"       // the task was created
	AckObject   Ack = "object"   // the same, with ops as an object where there is one op
	AckReversed Ack = "reversed" // the same, with ops in another order than the request's

	AckNotUnicalRef Ack = "not_unical_ref"         // this op is refused: ref in use
	AckAccessDenied Ack = "access_denied"          // this op is refused: no rights
	AckNotActive    Ack = "conveyor_is_not_active" // this op is refused: process paused
	AckUnanswered   Ack = "unanswered"             // this op is left out of the answer, though its task exists

	AckFormatError Ack = "format_error" // the package is refused: HTTP 200, request_proc format_error
	AckHTTP400     Ack = "http_400"     // the package is refused: HTTP 400 in JSON

	AckHTTP500  Ack = "http_500" // HTTP 500, text
	AckHTML502  Ack = "html_502" // HTTP 502, a proxy's page
	AckHTML200  Ack = "html_200" // HTTP 200, a page
	AckEmpty    Ack = "empty"    // HTTP 200, no body
	AckRedirect Ack = "redirect" // HTTP 302

	AckHang      Ack = "hang"       // no answer at all, connection open
	AckReset     Ack = "reset"      // the request is read, then the connection reset
	AckTruncated Ack = "truncated"  // half of the answer, then the end of the connection
	AckSlow      Ack = "slow"       // the answer in small pieces, over ack-delay, then the connection closed as announced
	AckBadChunks Ack = "bad_chunks" // chunked, but with a chunk size that is none
	AckNotHTTP   Ack = "not_http"   // bytes of another protocol
	AckClose     Ack = "close"      // a good answer, then the connection closed unannounced
)

// Acks lists every Ack.
func Acks() []Ack {
	return []Ack{
		AckOK, AckObject, AckReversed, AckNotUnicalRef, AckAccessDenied, AckNotActive, AckUnanswered,
		AckFormatError, AckHTTP400, AckHTTP500, AckHTML502, AckHTML200, AckEmpty, AckRedirect,
		AckHang, AckReset, AckTruncated, AckSlow, AckBadChunks, AckNotHTTP, AckClose,
	}
}

// ofOp reports whether the Ack concerns one op and not the HTTP answer as a whole.
func (a Ack) ofOp() bool {
	return a == AckNotUnicalRef || a == AckAccessDenied || a == AckNotActive || a == AckUnanswered
}

// refuses reports whether no task comes of it.
func (a Ack) refuses() bool {
	return a == AckFormatError || a == AckHTTP400 || a.ofOp() && a != AckUnanswered
}

// When says when the engine calls back.
type When string

// A callback that comes after the engine's own answer by no time at all may overtake it.
const (
	CallbackAfter  When = "after"  // Delay after the task was created
	CallbackBefore When = "before" // Delay after it too, and the engine's own answer waits for it
	CallbackNever  When = "never"
)

// Format is how a result is written into a callback.
type Format string

// The formats of an API Call node.
const (
	FormatJSON     Format = "json"
	FormatForm     Format = "form"     // urlencoded; values that are not strings are written as JSON
	FormatXML      Format = "xml"      // members as elements, @name as attributes, #value as text
	FormatCorezoid Format = "corezoid" // an ops package whose op carries the result as extra
	FormatEmpty    Format = "empty"    // no body
)

// Range is a time between two bounds, chosen anew for each task. Written 50ms or 20ms-50ms.
type Range struct{ Min, Max time.Duration }

func (r Range) pick() time.Duration {
	if r.Max <= r.Min {
		return r.Min
	}
	return r.Min + rand.N(r.Max-r.Min+1) //nolint:gosec // a delay and no secret
}

var errRange = errors.New("must be a duration with its unit, or a range of two: write 500ms, 30s, 5m or 20ms-50ms")

// MarshalText writes the range as UnmarshalText reads it.
func (r Range) MarshalText() ([]byte, error) {
	if r.Max == r.Min {
		return []byte(r.Min.String()), nil
	}
	return []byte(r.Min.String() + "-" + r.Max.String()), nil
}

// UnmarshalText reads 50ms or 20ms-50ms.
func (r *Range) UnmarshalText(text []byte) error {
	low, high, two := strings.Cut(string(text), "-")
	if !two {
		high = low
	}
	least, err := time.ParseDuration(low)
	if err != nil {
		return errRange
	}
	most, err := time.ParseDuration(high)
	if err != nil {
		return errRange
	}
	*r = Range{least, most}
	return nil
}

// UnmarshalJSON reads milliseconds: 50 or [20, 50].
func (r *Range) UnmarshalJSON(text []byte) error {
	var both [2]millis
	if err := json.Unmarshal(text, &both[0]); err == nil {
		*r = Range{time.Duration(both[0]), time.Duration(both[0])}
		return nil
	}
	var list []millis
	if err := json.Unmarshal(text, &list); err != nil || len(list) != len(both) {
		return errors.New("a number of milliseconds or two in an array are needed")
	}
	*r = Range{time.Duration(list[0]), time.Duration(list[1])}
	return nil
}

// validate lists what is wrong, each with its flag's name.
func (b *Behaviour) validate() (problems []error) {
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	bad(!slices.Contains(Acks(), b.Ack), "ack: %q is none of %v", b.Ack, Acks())
	bad(!slices.Contains([]When{CallbackAfter, CallbackBefore, CallbackNever}, b.Callback), "callback: %q is none of after, before, never", b.Callback)
	bad(!slices.Contains([]Format{FormatJSON, FormatForm, FormatXML, FormatCorezoid, FormatEmpty}, b.Format), "format: %q is none of json, form, xml, corezoid, empty", b.Format)
	bad(!slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}, b.Method), "method: %q is none of GET, HEAD, POST, PUT, PATCH, DELETE", b.Method)
	bad(strings.ContainsAny(b.ContentType, "\r\n"), "content-type: has a line break")
	bad(b.Delay.Min < 0 || b.Delay.Max < b.Delay.Min || b.Delay.Max > maxDelay, "delay: %s is not a range within 0 and %s", b.Delay, maxDelay)
	for i, d := range []time.Duration{b.AckDelay, b.Gap, b.RetryDelay} {
		name := []string{"ack-delay", "gap", "retry-delay"}[i]
		bad(d < 0 || d > maxDelay, "%s: %s is not within 0 and %s", name, d, maxDelay)
	}
	bad(b.Duplicates < 0 || b.Duplicates > maxDuplicates, "duplicates: %d is not within 0 and %d", b.Duplicates, maxDuplicates)
	bad(b.Retries < 0 || b.Retries > maxRetries, "retries: %d is not within 0 and %d", b.Retries, maxRetries)
	bad(b.Body != "" && strings.TrimSpace(b.Body) == "", "body: is blank; the format empty sends none")
	if b.To != "" {
		_, _, err := net.SplitHostPort(b.To)
		bad(err != nil, "to: %q is not host:port", b.To)
	}
	return problems
}

// String is the range as flags write it.
func (r Range) String() string {
	text, _ := r.MarshalText()
	return string(text)
}

// millis is a time written as a number of milliseconds, fractions allowed.
type millis time.Duration

func (m *millis) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil || n < 0 || n > float64(maxDelay/time.Millisecond) {
		return fmt.Errorf("%s is not a number of milliseconds from 0 to %d", text, maxDelay/time.Millisecond)
	}
	*m = millis(n * float64(time.Millisecond))
	return nil
}
