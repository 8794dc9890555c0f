package correlator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"syncgate/correlator"
)

func event(body string) correlator.Callback {
	return correlator.Callback{Status: correlator.Progress, Body: []byte(body)}
}

// TestSizeOfACallback: a trip has a Callback for each op, so a Callback must not grow for the sake of progress and heads.
func TestSizeOfACallback(t *testing.T) {
	if size := unsafe.Sizeof(correlator.Callback{}); size != 48 {
		t.Errorf("a Callback has %d bytes", size)
	}
}

// TestMembers: the members of an object, the last of each name, as they came.
func TestMembers(t *testing.T) {
	for body, want := range map[string]string{
		``: "", `1`: "", `[{"a":1}]`: "", `"a"`: "", `null`: "", `{`: "", `{"a":1`: "", `{"a":1}x`: "", `{"a"}`: "", `{"a":}`: "", `{1:1}`: "", `{}`: "",
		` { "a" : 1.0 , "b":{"c" : [ ] } } `: `a="a":1.0 b="b":{"c" : [ ] } `,
		`{"a":1,"\u0061":2}`:                 `a="\u0061":2 `,
		`{"<":"<&\/"}`:                       `<="<":"<&\/" `,
		`{"\ud800":1}`:                       `"\ud800"="\ud800":1 `,
	} {
		var got strings.Builder
		for _, m := range membersOf(t, body) {
			fmt.Fprintf(&got, "%s=%s ", m.Name, m.Text)
			if again, ok := correlator.ParseMember(m.Text); !ok || again.Name != m.Name {
				t.Errorf("%s is parsed as %v", m.Text, again)
			}
		}
		if got.String() != want {
			t.Errorf("%s has %s, want %s", body, got.String(), want)
		}
	}
	for _, text := range []string{``, `"a"`, `"a":1,"b":2`, `"a":1}`, ` "a":1`, `"a": 1`} {
		if m, ok := correlator.ParseMember([]byte(text)); ok {
			t.Errorf("%q is %v", text, m)
		}
	}
}

// membersOf gives the members of a text, which are not nil if it is an object.
func membersOf(t *testing.T, body string) []correlator.Member {
	t.Helper()
	members, err := correlator.Members([]byte(body))
	if isObject := json.Valid([]byte(body)) && strings.HasPrefix(strings.TrimSpace(body), "{"); err != nil || (members != nil) != isObject {
		t.Errorf("%s has %v, %v", body, members, err)
	}
	return members
}

// TestMembersAreBounded: an object of a few bytes a member takes many times its bytes, so there are only so many.
func TestMembersAreBounded(t *testing.T) {
	most := `{` + strings.Repeat(`"a":0,`, correlator.MergedMembers-1) + `"a":1`
	if all, err := correlator.Members([]byte(most + `}`)); err != nil || len(all) != 1 || string(all[0].Text) != `"a":1` {
		t.Errorf("%v, %v", all, err)
	}
	if all, err := correlator.Members([]byte(most + `,"a":2}`)); !errors.Is(err, correlator.ErrTooLarge) || all != nil {
		t.Errorf("%d members, %v", len(all), err)
	}
}

func TestOverlay(t *testing.T) {
	many := `{` + strings.Repeat(`"a":0,`, correlator.MergedMembers) + `"a":1}`
	for _, f := range []struct {
		layers []string
		want   string
	}{
		{[]string{`{"b":1,"a":1.0}`, `{"c":3,"b":2}`, `{ "b" : 4 }`}, `{"a":1.0,"b":4,"c":3}`},
		{[]string{`{"a":1}`, ``, `{"b":2}`}, `{"a":1,"b":2}`},
		{[]string{`{"a":1}`, `[1]`, `{}`}, `{"a":1}`},
		{[]string{`{"a":1}`, `{"\u0061":2}`}, `{"\u0061":2}`},
		{[]string{`{"a":1}`, `[2]`}, ``},
		{[]string{`{"a":1}`, ``}, ``},
		{[]string{`{"a":1}`, many}, ``},
		{[]string{many, `{"b":2}`}, `{"b":2}`},
		{[]string{`{}`, `{}`}, ``},
	} {
		var layers [][]byte
		for _, layer := range f.layers {
			layers = append(layers, []byte(layer))
		}
		if got := string(correlator.Overlay(layers...)); got != f.want {
			t.Errorf("%.60q gives %s, want %s", f.layers, got, f.want)
		}
	}
}

// TestProgressCounts: what is kept counts as what it takes, goes with its record, and makes no more room than there is.
func TestProgressCounts(t *testing.T) { //nolint:gocognit // one story, in its order
	m := newMemory(t, correlator.Config{Retention: time.Hour})
	expiry := time.Now().Add(time.Hour)
	const n = 2000
	ids := make([]correlator.ID, n)
	for i := range ids {
		ids[i] = m.NewID(expiry)
		if err := m.Save(t.Context(), ids[i], correlator.Record{Finals: make([]correlator.Callback, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	_, without := m.Kept()
	before := heap()
	for _, id := range ids {
		for j := range 20 {
			if err := m.Deliver(t.Context(), id, event(fmt.Sprintf(`{"member %d":"%0100d"}`, j%10, j))); err != nil {
				t.Fatal(err)
			}
		}
	}
	grew := float64(heap()-before) / n
	_, bytes := m.Kept()
	said := float64(bytes-without) / n
	t.Logf("20 events take %.0f bytes and count as %.0f", grew, said)
	if said < grew*0.8 || said > grew*1.6 {
		t.Errorf("20 events take %.0f bytes and count as %.0f", grew, said)
	}
	runtime.KeepAlive(m)

	m = newMemory(t, correlator.Config{Retention: time.Hour, Results: 20_000})
	id := m.NewID(expiry)
	if _, err := m.Claim(t.Context(), correlator.Key{Name: "k"}, [32]byte{}, id, correlator.Record{Finals: make([]correlator.Callback, 1)}); err != nil {
		t.Fatal(err)
	}
	var err error
	events := 0
	for ; err == nil && events < 1000; events++ {
		err = m.Deliver(t.Context(), id, event(`{"a":"`+strings.Repeat("x", 1000)+`"}`))
	}
	if _, bytes := m.Kept(); !errors.Is(err, correlator.ErrFull) || events < 10 || bytes > 20_000 {
		t.Errorf("%d events, %d bytes, %v", events, bytes, err)
	}
	if err := m.Release(t.Context(), correlator.Key{Name: "k"}, id); err != nil {
		t.Fatal(err)
	}
	if n, bytes := m.Kept(); n != 0 || bytes != 0 {
		t.Errorf("kept %d records, %d bytes", n, bytes)
	}
}

// counter is a trip that counts what it hears.
type counter struct {
	heard, wrong *atomic.Int64
	last         uint32 // the table calls Deliver for one event after the other
}

func (c *counter) Deliver(cb correlator.Callback, done func(correlator.Disposition)) {
	if cb.Seq != c.last+1 {
		c.wrong.Add(1)
	}
	c.last = cb.Seq
	c.heard.Add(1)
	done(correlator.Written)
}

func (*counter) Expire(error) {}

// BenchmarkFollowers has 10,000 trips followed, and reports 10 events of each, 64 at a time. It reports figures of its own, of one go: -benchtime 1x.
func BenchmarkFollowers(b *testing.B) { //nolint:gocognit // one story, in its order
	const trips, events, atOnce = 10_000, 10, 64
	m := newMemory(b, correlator.Config{Retention: time.Hour})
	for b.Loop() {
		var heard, wrong atomic.Int64
		deadline := time.Now().Add(time.Hour)
		ids := make([]correlator.ID, trips)
		for i := range ids {
			ids[i] = m.NewID(deadline)
			if err := m.Save(b.Context(), ids[i], correlator.Record{Finals: make([]correlator.Callback, 1)}); err != nil {
				b.Fatal(err)
			}
			if _, err := m.Follow(b.Context(), ids[i], &counter{heard: &heard, wrong: &wrong}, 0, deadline); err != nil {
				b.Fatal(err)
			}
		}
		began := time.Now()
		var all sync.WaitGroup
		for i := range atOnce {
			all.Go(func() {
				for j := range events * trips / atOnce {
					if err := m.Deliver(b.Context(), ids[(i+j*atOnce)%trips], event(`{"percent":50,"step":"packing","note":"something that takes some room"}`)); err != nil {
						b.Errorf("report: %v", err)
					}
				}
			})
		}
		all.Wait()
		b.ReportMetric(time.Since(began).Seconds(), "s/all")
		b.ReportMetric(float64(heard.Load()), "heard")
		if wrong.Load() > 0 {
			b.Error(wrong.Load(), "events were heard out of order")
		}
	}
}
