package probe_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/internal/probe"
)

func newKeys(t *testing.T, keys ...string) *correlator.Keys {
	t.Helper()
	k, err := correlator.NewKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestToken: a token says what was asked for, to those who have its key, and is good in one spelling alone.
func TestToken(t *testing.T) {
	first, second := correlator.RandomKey(), correlator.RandomKey()
	k := newKeys(t, first)
	asked := probe.Request{Do: probe.Hold, Wait: 77 * time.Second, Until: time.UnixMilli(1_700_000_000_123), ID: probe.NewID()}
	token := asked.Token(k)
	for what, keys := range map[string]*correlator.Keys{"alone": k, "last": newKeys(t, second, first)} {
		if got, ok := probe.Parse([]byte(token), keys); !ok || got.Do != asked.Do || got.Wait != asked.Wait || !got.Until.Equal(asked.Until) || got.ID != asked.ID {
			t.Errorf("its key is %s: %+v, %v", what, got, ok)
		}
	}
	if _, ok := probe.Parse([]byte(token), newKeys(t, second)); ok {
		t.Error("good under another key")
	}
	for i := range token {
		other := []byte(token)
		if other[i]++; other[i] == '[' || other[i] == '{' || other[i] == ':' || other[i] == '.' || other[i] == '`' {
			other[i] = 'A'
		}
		if _, ok := probe.Parse(other, k); ok && string(other) != token {
			t.Errorf("good with character %d changed", i)
		}
	}
	for _, other := range []string{"", token[:len(token)-1], token + "A", token + "\n", strings.Repeat(token, 9), token[1:]} {
		if _, ok := probe.Parse([]byte(other), k); ok {
			t.Errorf("%q is good", other)
		}
	}
}

// TestTokenIsWorthNothingElse: neither as a callback's token nor as a task's id, and theirs are none of a probe.
func TestTokenIsWorthNothingElse(t *testing.T) {
	k := newKeys(t, correlator.RandomKey())
	token := probe.Request{Do: probe.Say, Until: time.Now(), ID: probe.NewID()}.Token(k)
	if _, err := k.ParseToken([]byte(token)); err == nil {
		t.Error("it is a callback's")
	}
	if _, err := k.ParseTaskID([]byte(token)); err == nil {
		t.Error("it is a task's id")
	}
	id := correlator.NewID(correlator.NewNodeID(), time.Now())
	for _, other := range [][]byte{k.AppendToken(nil, correlator.Token{Trip: id}), k.AppendTaskID(nil, id), k.AppendEventsToken(nil, id)} {
		if _, ok := probe.Parse(other, k); ok {
			t.Errorf("%s is a probe's", other)
		}
	}
}

// TestTokenAsksForWhatThereIs: nothing unknown, and no wait that is longer than gateways allow.
func TestTokenAsksForWhatThereIs(t *testing.T) {
	k := newKeys(t, correlator.RandomKey())
	for what, c := range map[string]struct {
		asked probe.Request
		good  bool
	}{
		"longest": {probe.Request{Do: probe.Hold, Wait: probe.MaxWait}, true},
		"longer":  {probe.Request{Do: probe.Hold, Wait: probe.MaxWait + time.Second}, false},
		"nothing": {probe.Request{}, false},
		"unknown": {probe.Request{Do: probe.Beat + 1}, false},
		"last":    {probe.Request{Do: probe.Beat}, true},
	} {
		if _, ok := probe.Parse([]byte(c.asked.Token(k)), k); ok != c.good {
			t.Errorf("%s: %v", what, ok)
		}
	}
}

// TestAnswer: it proves who has answered which probe.
func TestAnswer(t *testing.T) {
	k, other := newKeys(t, correlator.RandomKey()), newKeys(t, correlator.RandomKey())
	token := probe.Request{Do: probe.Say, ID: probe.NewID()}.Token(k)
	said := probe.Answer{Node: "n", Version: "v", Rest: "/<a>&b", Headers: map[string]string{"A": "é\u2028\"<"}, Config: map[string]string{"a.b": "x"}}
	body, err := said.Encode(token, k)
	if err != nil {
		t.Fatal(err)
	}
	got, err := probe.Decode(body, token, k)
	if err != nil || got.Node != "n" || got.Rest != said.Rest || got.Headers["A"] != said.Headers["A"] {
		t.Errorf("%+v, %v", got, err)
	}
	for what, wrong := range map[string]error{
		"another key":   second(probe.Decode(body, token, other)),
		"another probe": second(probe.Decode(body, token+"A", k)),
		"changed":       second(probe.Decode([]byte(strings.Replace(string(body), `"n"`, `"m"`, 1)), token, k)),
		"a page":        second(probe.Decode([]byte("<html>"), token, k)),
		"nothing":       second(probe.Decode(nil, token, k)),
		"an object":     second(probe.Decode([]byte("{}"), token, k)),
	} {
		if !errors.Is(wrong, probe.ErrForeign) {
			t.Errorf("%s: %v", what, wrong)
		}
	}
}

func second(_ probe.Answer, err error) error { return err }

func TestSplit(t *testing.T) {
	for path, want := range map[string]struct {
		token, rest   string
		callbacks, ok bool
	}{
		"/api/1/doctor/abc":                           {"abc", "", false, true},
		"/api/1/doctor/abc/%2f//c?q=1":                {"abc", "/%2f//c?q=1", false, true},
		"/api/1/plugins/callback/doctor/abc":          {"abc", "", true, true},
		"/api/1/doctor/abc?q=1":                       {"abc", "?q=1", false, true},
		"/api/1/plugins/callback/abc":                 {"", "", false, false},
		"/api/1/doctors/abc":                          {"", "", false, false},
		"/api/1/doctor":                               {"", "", false, false},
		"/x/api/1/doctor/abc":                         {"", "", false, false},
		"/api/1/plugins/callback/doctor/abc/d":        {"abc", "/d", true, true},
		"http://host/api/1/plugins/callback/doctor/a": {"", "", false, false},
	} {
		token, rest, callbacks, ok := probe.Split([]byte(path))
		if string(token) != want.token || string(rest) != want.rest || callbacks != want.callbacks || ok != want.ok {
			t.Errorf("%s: %s %s %v %v", path, token, rest, callbacks, ok)
		}
	}
}

// TestDigest: equal values have equal digests, for those who have the key.
func TestDigest(t *testing.T) {
	k, other := newKeys(t, correlator.RandomKey()), newKeys(t, correlator.RandomKey())
	one := probe.Digest("a", "x", k)
	if one != probe.Digest("a", "x", k) || one == probe.Digest("a", "y", k) || one == probe.Digest("b", "x", k) || one == probe.Digest("a", "x", other) {
		t.Error("digests do not tell values apart")
	}
}
