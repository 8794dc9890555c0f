package tracing

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"syncgate/internal/redact"
)

const (
	server   = tracepb.Span_SPAN_KIND_SERVER
	client   = tracepb.Span_SPAN_KIND_CLIENT
	internal = tracepb.Span_SPAN_KIND_INTERNAL
)

// schemaURL names the version of the conventions that the attributes of spans were compared with.
const schemaURL = "https://opentelemetry.io/schemas/1.44.0"

// Bits of a span's flags, beside those of W3C Trace Context [OTLP, SpanFlags].
const (
	flagSampled   = 1
	flagHasRemote = 1 << 8
	flagRemote    = 1 << 9
)

// what says which of our spans one is, as the attribute syncgate.span.
type what string

const (
	whatRequest  what = "request"
	whatAccept   what = "accept"
	whatForward  what = "forward"
	whatWait     what = "wait"
	whatReply    what = "reply"
	whatCallback what = "callback"
	whatNotify   what = "notify"
)

// builder makes a span.
type builder struct{ *tracepb.Span }

// newSpan makes a span of a trace below parent, which may be none. remote: another process has made that.
func newSpan(w what, trace traceID, id, parent spanID, remote bool, kind tracepb.Span_SpanKind, begun, ended time.Time) builder {
	if ended.Before(begun) { // a clock was set
		ended = begun
	}
	s := &tracepb.Span{
		TraceId: trace[:], SpanId: id[:], Name: string(w), Kind: kind, Flags: flagSampled | flagHasRemote,
		StartTimeUnixNano: uint64(begun.UnixNano()), EndTimeUnixNano: uint64(ended.UnixNano()),
	}
	if parent != (spanID{}) {
		s.ParentSpanId = parent[:]
	}
	if remote {
		s.Flags |= flagRemote
	}
	b := builder{s}
	b.text("syncgate.span", string(w))
	return b
}

// text adds an attribute, unless it says nothing.
func (b builder) text(name, value string) {
	if value != "" {
		b.Attributes = append(b.Attributes, textAttribute(name, value))
	}
}

func (b builder) number(name string, value int) {
	b.Attributes = append(b.Attributes, &commonpb.KeyValue{Key: name, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(value)}}})
}

func (b builder) yes(name string, value bool) {
	if value {
		b.Attributes = append(b.Attributes, &commonpb.KeyValue{Key: name, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}})
	}
}

// fail marks the span as one of a failure. why is a word of a closed set, or a status.
func (b builder) fail(why string) {
	b.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
	b.text("error.type", why)
}

// status adds the status of an answer. least is from where it is a failure: 500 for who answers, and 400 for who asked [semantic conventions of HTTP].
func (b builder) status(status, least int) {
	if status == 0 {
		return
	}
	b.number("http.response.status_code", status)
	if status >= least {
		b.fail(strconv.Itoa(status))
	}
}

// method adds the method of a request, and names the span after it and its target. A method that the conventions do not know is in no name: clients choose it.
func (b builder) method(method, target string) {
	b.Name = method
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY":
		b.text("http.request.method", method)
	default:
		b.Name = "HTTP"
		b.text("http.request.method", "_OTHER")
		b.text("http.request.method_original", redact.Text(method))
	}
	if target != "" {
		b.Name += " " + target
	}
}

// address adds who is asked. Of a URL it shows neither user nor query.
func (b builder) address(u *url.URL) {
	b.text("server.address", u.Hostname())
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if n, err := strconv.Atoi(port); err == nil {
		b.number("server.port", n)
	}
}

// link names a span of another trace that the span has to do with.
func (b builder) link(p place) {
	flags := uint32(flagHasRemote | flagRemote)
	if p.sampled {
		flags |= flagSampled
	}
	b.Links = append(b.Links, &tracepb.Span_Link{TraceId: p.trace[:], SpanId: p.span[:], Flags: flags})
}

// textAttribute makes valid UTF-8 of what others have chosen: a message with anything else cannot be encoded, and all its spans would be lost.
func textAttribute(name, value string) *commonpb.KeyValue {
	value = strings.ToValidUTF8(value, "\uFFFD")
	return &commonpb.KeyValue{Key: strings.ToValidUTF8(name, "\uFFFD"), Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

// wrapper gives what puts spans of this process into a message.
func wrapper(cfg *Config, o *Options) func([]*tracepb.Span) *tracepb.TracesData {
	resource := &resourcepb.Resource{Attributes: []*commonpb.KeyValue{
		textAttribute("service.name", cfg.ServiceName), textAttribute("service.version", o.Version), textAttribute("service.instance.id", o.Node),
	}}
	for name, value := range cfg.Attributes {
		resource.Attributes = append(resource.Attributes, textAttribute(name, value))
	}
	scope := &commonpb.InstrumentationScope{Name: "syncgate", Version: o.Version}
	return func(spans []*tracepb.Span) *tracepb.TracesData {
		return &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
			Resource: resource, ScopeSpans: []*tracepb.ScopeSpans{{Scope: scope, Spans: spans, SchemaUrl: schemaURL}},
		}}}
	}
}
