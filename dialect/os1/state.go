package os1

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"syncgate/signer"
)

// State is what has to be known of a request to word its replies and its callback. It is recorded with the task: any node can word them, also
// when the route has changed or gone. It holds no secret that is not sealed.
type State struct {
	Echo      string            `json:"q,omitempty"` // the member request of replies
	Tenant    string            `json:"t,omitempty"`
	EventType string            `json:"e,omitempty"`
	Service   string            `json:"s,omitempty"`
	Members   map[string]string `json:"c,omitempty"`
	Signature signer.OS1Scheme  `json:"a,omitempty"`
	URL       string            `json:"u,omitempty"`
	Events    bool              `json:"l,omitzero"`
	Meta      string            `json:"m,omitempty"` // as it was sent; empty: none was
	Sealed    []byte            `json:"k,omitempty"` // the secret that signs the callback, sealed by the caller; empty: none
	Refs      []string          `json:"r,omitempty"` // of a batch: the refID of each element, as it was sent
	Whole     bool              `json:"w,omitzero"`  // of a batch: the engine gets it as one task, and not one for each element
}

// NewState gives the state of a request. method and path are the request's; path is without what authenticates the caller. The caller sets Sealed,
// Refs and Whole.
func (c *Config) NewState(r *Request, method string, path []byte) State {
	s := State{Echo: string(r.AppendEcho(nil, method, path)), Tenant: r.Tenant}
	if r.Callback.Asked() {
		s.EventType, s.Service, s.Members, s.Signature = c.EventType, c.Service, c.Members, c.Signature
		s.URL, s.Events, s.Meta = r.Callback.URL, r.Callback.Events, string(r.Callback.Meta)
	}
	return s
}

// Encode gives the recorded form.
func (s *State) Encode() []byte {
	b, err := json.Marshal(s, json.Deterministic(true))
	if err != nil {
		panic(fmt.Sprintf("the state of an OS1 call cannot be written: %v", err)) // what is in it was checked to be UTF-8
	}
	return b
}

// ParseState reads a recorded form.
func ParseState(text []byte) (s State, err error) {
	if err = json.Unmarshal(text, &s); err != nil {
		return State{}, fmt.Errorf("read the state of an OS1 call: %w", err)
	}
	return s, nil
}

// AppendSignature appends the value of HeaderSignature for a callback's body. Without a secret there is no such header, and nothing is appended.
func (s *State) AppendSignature(dst, body, secret []byte) []byte {
	if len(secret) == 0 {
		return dst
	}
	return signer.AppendOS1Signature(dst, s.Signature, body, secret)
}
