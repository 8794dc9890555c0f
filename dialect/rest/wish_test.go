package rest

import (
	"encoding/json"
	"testing"
)

// TestOurMembersAreCut: they are found however they are spelled, at the top alone, and all else stays as it is, byte for byte.
func TestOurMembersAreCut(t *testing.T) {
	for _, f := range []struct{ body, rest string }{
		{`{}`, `{}`},
		{`{"a": 1.0, "a": 2 }`, `{"a": 1.0, "a": 2 }`},
		{`{"callbackUrl":"u"}`, `{}`},
		{` {"callbackUrl":"u", "a" : [ 1 ]}` + "\n", ` {"a" : [ 1 ]}` + "\n"},
		{`{"a":1,"secret":"s","mode":"once","topic":true,"b":"é"}`, `{"a":1,"b":"é"}`},
		{`{"call\u0062ackUrl":"u","\u0073ecret":"s","a":{"callbackUrl":"stays","secret":1},"m\u006Fde":null}`, `{"a":{"callbackUrl":"stays","secret":1}}`},
		{`{"CallbackURL":1,"callbackurl":2,"callbackUrl ":3}`, `{"CallbackURL":1,"callbackurl":2,"callbackUrl ":3}`},
		{`{"x":"\ud800","callbackUrl":"u"}`, `{"x":"\ud800"}`},
	} {
		_, rest, err := cutOurs([]byte(f.body))
		if err != nil || string(rest) != f.rest {
			t.Errorf("%s gives %s, %v; want %s", f.body, rest, err, f.rest)
		}
	}
	for _, bad := range []string{`{"callbackUrl":"u","callback\u0055rl":"v"}`, `{"secret":null,"secret":null}`} {
		if _, _, err := cutOurs([]byte(bad)); err == nil {
			t.Errorf("%s is taken, and no two readers need agree what it says", bad)
		}
	}
}

// FuzzOurMembers: no body that a reader of JSON takes for an object with a receiver reaches the engine with one of our members, and no other body changes.
func FuzzOurMembers(f *testing.F) {
	for _, s := range []string{`{"callbackUrl":"u","a":1}`, `{"a":{"secret":1},"mode":2,}`, "\ufeff{\"topic\":true}", `[{"mode":1}]`, ` {"mode"`, `"{"`, `{"mode":1,"mode":2}`} {
		f.Add([]byte(s))
	}
	r := &route{role: calls}
	f.Fuzz(func(t *testing.T, body []byte) {
		rest, _, fault := r.readWish(body)
		if fault != nil {
			return
		}
		var before, after map[string]json.RawMessage
		if json.Unmarshal(body, &before) != nil || before[memberURL] == nil {
			if string(rest) != string(body) {
				t.Fatalf("%q has become %q", body, rest)
			}
			return
		}
		err := json.Unmarshal(rest, &after)
		_, url := after[memberURL]
		_, mode := after[memberMode]
		_, topic := after[memberTopic]
		_, secret := after[memberSecret]
		if err != nil || url || mode || topic || secret {
			t.Errorf("%q reaches the engine as %q: %v", body, rest, err)
		}
	})
}
