package tracing

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"syncgate/internal/redact"
)

// retryAfter reads the Retry-After of an answer. A collector that asks for more than mostPause is asked again after that: a batch that was dropped at once
// would be followed by the next one.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, mostPause)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(0, time.Until(at)), mostPause)
	}
	return 0
}

// partial is what a collector does not want of a request that it has taken.
type partial struct {
	refused int    // spans, at most mostBatch
	message string // why, in the collector's words
}

// readPartial reads partial_success of an ExportTraceServiceResponse [OTLP 1.x].
func readPartial(answer []byte) (p partial) {
	said, n := protowire.ConsumeBytes(field(answer, 1, protowire.BytesType))
	if n < 0 {
		return p
	}
	if spans, n := protowire.ConsumeVarint(field(said, 1, protowire.VarintType)); n >= 0 {
		p.refused = int(min(spans, mostBatch))
	}
	if message, n := protowire.ConsumeBytes(field(said, 2, protowire.BytesType)); n >= 0 {
		p.message = string(message)
	}
	return p
}

// messageOf gives what an answer says that refuses a request: a google.rpc.Status [OTLP 1.x], or the text that servers and proxies send who know nothing of OTLP.
func messageOf(h http.Header, answer []byte) string {
	switch kind, _, _ := strings.Cut(h.Get("Content-Type"), ";"); kind {
	case "application/x-protobuf":
		if message, n := protowire.ConsumeBytes(field(answer, 2, protowire.BytesType)); n >= 0 {
			return string(message)
		}
	case "text/plain", "": // net/http says no type where it is asked without TLS for a server that has it
		return string(answer)
	}
	return ""
}

// shown is what a log may show of the words of a collector, which may repeat what it was sent.
func (e *exporter) shown(words string) string {
	for _, secret := range e.hidden {
		if secret != "" {
			words = strings.ReplaceAll(words, secret, "...")
		}
	}
	return redact.Text(strings.TrimSpace(words))
}

// refusal words a status that is no 2xx: what the collector says, and what to do.
func refusal(status int, says string) error {
	text := "the collector answers " + strconv.Itoa(status)
	if says != "" {
		text += ": " + says
	}
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		text += ": correct tracing.token or tracing.headers"
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		text += ": correct the path of tracing.url, which ends with /v1/traces at most collectors"
	case status == http.StatusRequestEntityTooLarge, status == http.StatusBadRequest && strings.Contains(says, "request body too large"): // net/http, and so the OpenTelemetry Collector
		text += ": have it take bodies of 2 MiB, as max_request_body_size of the OpenTelemetry Collector does"
	case status == http.StatusBadRequest && strings.Contains(says, "HTTP request to an HTTPS server"):
		text += ": tracing.url has to begin with https://"
	case status >= 300 && status < 400:
		text += ": tracing.url has to be where it redirects to, as redirects are not followed"
	}
	return errors.New(text)
}

// advised adds to an error of the transport what to do, where that is known.
func advised(err error) error {
	const (
		frames  = "malformed HTTP response"                       // net/http: what answers begins with a frame of HTTP/2, as gRPC has it
		early   = "readLoopPeekFailLocked"                        // net/http: the same, where that frame came before our request was written
		noTLS   = "server gave HTTP response to HTTPS client"     // net/http
		unknown = "x509: certificate signed by unknown authority" // crypto/x509
	)
	switch text := err.Error(); {
	case strings.Contains(text, frames), strings.Contains(text, early):
		return errors.New("what answers does not speak HTTP/1.1: the port of tracing.url may be that of gRPC, mostly 4317; that of OTLP over HTTP is mostly 4318")
	case strings.Contains(text, noTLS):
		return fmt.Errorf("%w: tracing.url has to begin with http://", err)
	case strings.Contains(text, unknown):
		return fmt.Errorf("%w: add the authority of the collector's certificate to those that this machine trusts, or name its file in SSL_CERT_FILE", err)
	default:
		return err
	}
}

// field gives what follows the tag of a field, nil where there is none.
func field(message []byte, number protowire.Number, kind protowire.Type) []byte {
	for len(message) > 0 {
		got, k, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		message = message[n:]
		if got == number && k == kind {
			return message
		}
		if n = protowire.ConsumeFieldValue(got, k, message); n < 0 {
			return nil
		}
		message = message[n:]
	}
	return nil
}
