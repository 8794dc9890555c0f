package httpfield_test

import (
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/internal/httpfield"
)

func TestPreferred(t *testing.T) {
	const j, hal, events = "application/json", "application/hal+json", "text/event-stream"
	f := func(want string, lines ...string) {
		t.Helper()
		var h fasthttp.RequestHeader
		for _, line := range lines {
			h.Add("accept", line)
		}
		if got := httpfield.Preferred(&h, j, hal, events); got != want {
			t.Errorf("%q: %q, want %q", lines, got, want)
		}
	}
	f(j)
	f(j, "*/*")
	f(j, "application/*")
	f(hal, hal)
	f(hal, "Application/HAL+json")
	f(hal, hal+", */*")
	f(hal, "*/*", hal)
	f(hal, "application/*;q=1.000, "+hal)
	f(j, hal+";q=0.9, */*")
	f(events, events)
	f(events, "text/*, "+j+";q=0.5")
	f(j, j+", "+events) // the order of equal ones
	f(events, events, j)
	f(events, events+","+j)
	f(hal, hal+` ; profile="a,b;q=0" ; Q=0.8 , `+j+";q=0.7")
	f(j, "*/*, "+hal+";q=0, "+events+";q=0")
	f(hal, "*/*, "+j+";q=0")
	f("", "image/png")
	f("", j+";q=0")
	f("", "")
	f(j, ",,"+j+",")
	for _, none := range []string{"2", "1.001", "0.0001", "x", "", "-1", ".5", "1 5", `"`} {
		f(hal, events+";q="+none+"", hal) // a range whose weight is none says nothing
	}
	f(j, j+";q=0.001, "+hal+";q=0.0")
}

func FuzzPreferences(f *testing.F) {
	f.Add("respond-async, wait=10", `foo="\", wait=10";x, redirect`, "text/event-stream;q=0.5, */*")
	f.Fuzz(func(t *testing.T, one, two, accept string) {
		var h fasthttp.RequestHeader
		h.Add("Prefer", one)
		h.Add("Prefer", two)
		h.Add("Accept", accept)
		const limit = 60e9
		p := httpfield.ReadPreferences(&h, limit)
		if p.Wait < 0 || p.Wait > limit || p.Wait != 0 && !p.HasWait || p.Wait != httpfield.PreferredWait(&h, limit) {
			t.Errorf("%+v", p)
		}
		var first fasthttp.RequestHeader
		first.Add("Prefer", one)
		if q := httpfield.ReadPreferences(&first, limit); q.HasWait && q.Wait != p.Wait || q.RespondAsync && !p.RespondAsync || q.Redirect && !p.Redirect {
			t.Errorf("%+v of the first line alone, then %+v", q, p) // what comes later takes nothing back
		}
		if got := httpfield.Preferred(&h, "a/b"); got != "" && got != "a/b" {
			t.Error(got)
		}
	})
}

func TestPreferences(t *testing.T) {
	f := func(want httpfield.Preferences, lines ...string) {
		t.Helper()
		var h fasthttp.RequestHeader
		for _, line := range lines {
			h.Add("prefer", line)
		}
		if got := httpfield.ReadPreferences(&h, 300e9); got != want {
			t.Errorf("%q: %+v, want %+v", lines, got, want)
		}
	}
	both := httpfield.Preferences{Wait: 10e9, HasWait: true, RespondAsync: true}
	f(both, "respond-async, wait=10")
	f(both, "wait=10", "Respond-Async")
	f(both, `wait="10", respond-async=""`)
	f(httpfield.Preferences{HasWait: true}, "wait=0")
	f(httpfield.Preferences{}, "wait=x, wait=10")
	f(httpfield.Preferences{}, "respond-async=no, respond-async") // the first counts
	f(httpfield.Preferences{Redirect: true}, "redirect;x=y")
	f(httpfield.Preferences{Redirect: true, Wait: 300e9, HasWait: true}, "redirect, handling=lenient, wait=9999")
	f(httpfield.Preferences{}, `x="respond-async, redirect`)
}
