package tracing

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"syncgate/internal/httpfield"
	"syncgate/internal/setting"
	"syncgate/signer"
)

// Config says what is traced, and who gets it. The yaml tags are the keys of the configuration file.
type Config struct {
	URL         string                   `yaml:"url"`   // of the collector; empty: nothing is traced
	Ratio       float64                  `yaml:"ratio"` // of requests without a traceparent that are recorded: 0 to 1
	Token       signer.Secret            `yaml:"token"` // sent to the collector as Authorization: Bearer; empty: it is not
	TokenFile   string                   `yaml:"token_file"`
	Headers     map[string]signer.Secret `yaml:"headers"` // of each request to the collector
	Timeout     time.Duration            `yaml:"timeout"` // of such a request
	ServiceName string                   `yaml:"service_name"`
	Attributes  map[string]string        `yaml:"attributes"` // of the resource
	IntoTask    bool                     `yaml:"into_task"`  // tasks of Corezoid get the member __traceparent
}

// Bounds of a Config.
const (
	mostTimeout    = time.Minute
	mostHeaders    = 32
	mostAttributes = 32
	mostText       = 256 // bytes of an attribute's name or text
)

// Default is the Config of a gateway whose configuration says nothing: nothing is traced.
func Default() Config { return Config{Ratio: 1, Timeout: 10 * time.Second, ServiceName: "syncgate"} }

// Enabled reports whether anything is traced.
func (c *Config) Enabled() bool { return c.URL != "" }

// Validate gives every problem at once, joined; each begins with its key as in "tracing.url: ...". It shows no value.
func (c *Config) Validate() error {
	var p setting.Problems
	if c.Enabled() {
		p.BaseURL("tracing.url", c.URL)
	} else if c.IntoTask {
		p.Add("tracing.into_task", "needs tracing.url: without a collector there are no traces")
	}
	if !(c.Ratio >= 0 && c.Ratio <= 1) {
		p.Add("tracing.ratio", "must be a number from 0, none, to 1, all")
	}
	p.Positive("tracing.timeout", c.Timeout)
	if c.Timeout > mostTimeout {
		p.Add("tracing.timeout", "must be at most %s", setting.FormatDuration(mostTimeout))
	}
	if c.ServiceName == "" || len(c.ServiceName) > mostText {
		p.Add("tracing.service_name", "must have 1 to %d bytes", mostText)
	}
	if c.Token != "" && !httpfield.IsValue(string(c.Token)) {
		p.Add("tracing.token", "has a character that no header has: visible ASCII characters would do, and no line end")
	}
	c.validateHeaders(&p)
	c.validateAttributes(&p)
	return p.Err()
}

// validateHeaders shows neither a value nor a name that is not known: a secret may stand in the wrong place.
func (c *Config) validateHeaders(p *setting.Problems) {
	const key = "tracing.headers"
	if len(c.Headers) > mostHeaders {
		p.Add(key, "are %d, and at most %d can be", len(c.Headers), mostHeaders)
	}
	seen := make(map[string]bool, len(c.Headers))
	for name, value := range c.Headers {
		canonical, wrong := http.CanonicalHeaderKey(name), httpfield.Wrong(name, string(value))
		switch {
		case canonical == "Host", canonical == "Content-Type", canonical == "Content-Encoding", httpfield.IsOfConnection(canonical):
			p.Add(key, "%s is set by the gateway: remove it", canonical)
		case canonical == "Authorization" && c.Token != "":
			p.Add(key, "Authorization is what token sets: remove one of them")
		case seen[canonical]:
			p.Add(key, "one is there twice, as case does not matter")
		case wrong != "":
			p.Add(key, "%s", wrong)
		}
		seen[canonical] = true
	}
}

func (c *Config) validateAttributes(p *setting.Problems) {
	const key = "tracing.attributes"
	if len(c.Attributes) > mostAttributes {
		p.Add(key, "are %d, and at most %d can be", len(c.Attributes), mostAttributes)
	}
	for name, value := range c.Attributes {
		switch {
		case name == "" || len(name) > mostText || len(value) > mostText:
			p.Add(key, "one has a name or a text that is empty or longer than %d bytes", mostText)
		case name == "service.name":
			p.Add(key, "service.name is what service_name sets: remove it")
		case name == "service.version", name == "service.instance.id":
			p.Add(key, "%s is set by the gateway: remove it", name)
		}
	}
}

// endpoint gives the URL that spans are posted to. One without a path gets that of OTLP over HTTP.
func (c *Config) endpoint() string {
	u, err := url.Parse(c.URL)
	if err != nil || strings.Trim(u.Path, "/") != "" {
		return c.URL
	}
	return strings.TrimRight(c.URL, "/") + "/v1/traces"
}

// header gives what each request to the collector has.
func (c *Config) header() http.Header {
	h := make(http.Header, len(c.Headers)+3)
	for name, value := range c.Headers {
		h.Set(name, string(value))
	}
	if c.Token != "" {
		h.Set("Authorization", "Bearer "+string(c.Token))
	}
	h.Set("Content-Type", "application/x-protobuf")
	h.Set("Content-Encoding", "gzip")
	h.Set("User-Agent", "syncgate")
	return h
}

// hidden gives what authenticates us at the collector.
func (c *Config) hidden() (all []string) {
	for _, value := range c.Headers {
		all = append(all, string(value))
	}
	return append(all, string(c.Token))
}
