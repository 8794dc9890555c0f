package correlator_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
)

func newKeys(t testing.TB, keys ...string) *correlator.Keys {
	t.Helper()
	k, err := correlator.NewKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestIDCarriesHomeAndExpiry(t *testing.T) {
	node := correlator.NewNodeID()
	expiry := time.UnixMilli(1_795_311_507_735)
	id, other := correlator.NewID(node, expiry), correlator.NewID(node, expiry)
	if id.Home() != node || !id.Expiry().Equal(expiry) {
		t.Errorf("home %v, expiry %v", id.Home(), id.Expiry())
	}
	if bytes.Equal(id[:16], other[:16]) {
		t.Error("two ids have the same random part")
	}
	if node == correlator.NewNodeID() || len(node.String()) != 16 {
		t.Errorf("node %v", node)
	}
}

func TestTokens(t *testing.T) {
	keys := newKeys(t, keyA)
	id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour))
	for _, op := range []int{0, 1, 99, correlator.MaxOp} {
		token := keys.AppendToken([]byte("x"), correlator.Token{Trip: id, Op: op})[1:]
		if len(token) != correlator.TokenLen {
			t.Errorf("%d characters, not %d", len(token), correlator.TokenLen)
		}
		if got, err := keys.ParseToken(token); err != nil || got != (correlator.Token{Trip: id, Op: op}) {
			t.Errorf("op %d: parsed %+v, %v", op, got, err)
		}
		if !bytes.HasPrefix(token, []byte(id.String())) || len(id.String()) != 8 {
			t.Errorf("token %s does not begin with %s", token, id)
		}
	}
	task := keys.AppendTaskID(nil, id)
	if got, err := keys.ParseTaskID(task); err != nil || got != id || len(task) != correlator.TaskIDLen {
		t.Errorf("task id of %d characters: %v, %v", len(task), got, err)
	}
}

// TestForgedTokens changes every bit of a token and of a task id, every character to every byte, and their lengths.
func TestForgedTokens(t *testing.T) {
	keys := newKeys(t, keyA, keyB)
	id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour))
	t.Run("token", func(t *testing.T) {
		onlyGenuine(t, string(keys.AppendToken(nil, correlator.Token{Trip: id, Op: 7})), func(b []byte) error { _, err := keys.ParseToken(b); return err })
	})
	t.Run("task id", func(t *testing.T) {
		onlyGenuine(t, string(keys.AppendTaskID(nil, id)), func(b []byte) error { _, err := keys.ParseTaskID(b); return err })
	})
}

func onlyGenuine(t *testing.T, genuine string, parse func([]byte) error) {
	t.Helper()
	if err := parse([]byte(genuine)); err != nil {
		t.Fatalf("the genuine one: %v", err)
	}
	refused := func(forged string) {
		t.Helper()
		if err := parse([]byte(forged)); !errors.Is(err, correlator.ErrForged) && forged != genuine {
			t.Errorf("%q: %v", forged, err)
		}
	}
	raw, err := base64.RawURLEncoding.DecodeString(genuine)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(raw) * 8 {
		forged := bytes.Clone(raw)
		forged[bit/8] ^= 1 << (bit % 8)
		refused(base64.RawURLEncoding.EncodeToString(forged))
	}
	for i := range genuine {
		for c := range 256 {
			refused(genuine[:i] + string([]byte{byte(c)}) + genuine[i+1:])
		}
		refused(genuine[:i] + "\n" + genuine[i:])
		refused(genuine[:i] + "\r\n" + genuine[i:])
		refused(genuine[:i])
		refused(genuine[i+1:])
	}
	for _, forged := range []string{genuine + "=", genuine + "A", genuine + genuine, strings.ToUpper(genuine), strings.Repeat("A", len(genuine))} {
		refused(forged)
	}
}

func TestTokenAndTaskIDAreWorthNothingAsEachOther(t *testing.T) {
	keys := newKeys(t, keyA)
	id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour))
	token, task := keys.AppendToken(nil, correlator.Token{Trip: id}), keys.AppendTaskID(nil, id)
	rawToken, _ := base64.RawURLEncoding.DecodeString(string(token))
	rawTask, _ := base64.RawURLEncoding.DecodeString(string(task))
	if bytes.Equal(rawToken[34:], rawTask[32:]) {
		t.Error("the same MAC for both")
	}
	mixed := append(bytes.Clone(rawTask[:32]), rawToken[34:]...)
	if _, err := keys.ParseTaskID([]byte(base64.RawURLEncoding.EncodeToString(mixed))); !errors.Is(err, correlator.ErrForged) {
		t.Errorf("a task id with a token's MAC: %v", err)
	}
	mixed = append(append(bytes.Clone(rawTask[:32]), 0, 0), rawTask[32:]...)
	if _, err := keys.ParseToken([]byte(base64.RawURLEncoding.EncodeToString(mixed))); !errors.Is(err, correlator.ErrForged) {
		t.Errorf("a token with a task id's MAC: %v", err)
	}
}

func TestKeyRotation(t *testing.T) {
	id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour))
	keys := newKeys(t, keyA)
	old, oldTask := keys.AppendToken(nil, correlator.Token{Trip: id}), keys.AppendTaskID(nil, id)
	if err := keys.Set([]string{keyB, keyA}); err != nil {
		t.Fatal(err)
	}
	next := keys.AppendToken(nil, correlator.Token{Trip: id})
	if bytes.Equal(old, next) {
		t.Error("the first key does not sign")
	}
	for _, token := range [][]byte{old, next} {
		if _, err := keys.ParseToken(token); err != nil {
			t.Errorf("while both keys live: %v", err)
		}
	}
	if err := keys.Set([]string{keyB}); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.ParseToken(old); !errors.Is(err, correlator.ErrForged) {
		t.Errorf("a token of the old key: %v", err)
	}
	if _, err := keys.ParseTaskID(oldTask); !errors.Is(err, correlator.ErrForged) {
		t.Errorf("a task id of the old key: %v", err)
	}
	if _, err := keys.ParseToken(next); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
}

func TestKeysThatDoNotDo(t *testing.T) {
	keys := newKeys(t, keyA)
	token := keys.AppendToken(nil, correlator.Token{Trip: correlator.ID{}})
	for _, bad := range [][]string{nil, {""}, {keyB, keyA[1:]}} {
		err := keys.Set(bad)
		if err == nil {
			t.Errorf("%d keys taken", len(bad))
			continue
		}
		if strings.Contains(err.Error(), "aaa") {
			t.Errorf("a key is in the error: %v", err)
		}
	}
	if _, err := keys.ParseToken(token); err != nil {
		t.Errorf("bad keys changed something: %v", err)
	}
	if a, b := correlator.RandomKey(), correlator.RandomKey(); a == b || len(a) < correlator.MinKeyLen {
		t.Error("random keys are not")
	}
}

func TestKeysChangeWhileInUse(t *testing.T) {
	keys := newKeys(t, keyA)
	id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for op := range 500 {
				if got, err := keys.ParseToken(keys.AppendToken(nil, correlator.Token{Trip: id, Op: op})); err != nil || got.Op != op {
					t.Errorf("op %d: %d, %v", op, got, err)
				}
			}
		})
	}
	for i := range 100 {
		if err := keys.Set([][]string{{keyA, keyB}, {keyB, keyA}}[i%2]); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
}

// TestTokensNameTheirEngine: a token says which engine was given it, and that cannot be changed.
func TestTokensNameTheirEngine(t *testing.T) {
	keys := newKeys(t, keyA, keyB)
	want := correlator.Token{Trip: correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour)), Op: 3, Engine: correlator.NewEngineID("flow")}
	token := keys.AppendToken(nil, want)
	if got, err := keys.ParseToken(token); err != nil || got != want || len(token) != correlator.LongTokenLen {
		t.Errorf("%d characters, parsed as %+v, %v", len(token), got, err)
	}
	onlyGenuine(t, string(token), func(b []byte) error { _, err := keys.ParseToken(b); return err })
	if correlator.NewEngineID("flow") != want.Engine || correlator.NewEngineID("other") == want.Engine || want.Engine == (correlator.EngineID{}) {
		t.Error("the id of an engine does not come from its name")
	}
}

// FuzzToken: what parses is what AppendToken makes, character by character.
func FuzzToken(f *testing.F) {
	keys := newKeys(f, keyA)
	id := correlator.NewID(correlator.NodeID{1}, time.UnixMilli(1_795_311_507_735))
	f.Add(keys.AppendToken(nil, correlator.Token{Trip: id, Op: 3}))
	f.Add(keys.AppendTaskID(nil, id))
	f.Add(keys.AppendToken(nil, correlator.Token{Trip: id, Engine: correlator.NewEngineID("flow")}))
	f.Add([]byte(strings.Repeat("A", correlator.TokenLen)))
	f.Add([]byte(strings.Repeat("A", correlator.TokenLen-1) + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if token, err := keys.ParseToken(text); err == nil {
			if again := keys.AppendToken(nil, token); !bytes.Equal(again, text) {
				t.Errorf("%q parses, and is written %q", text, again)
			}
		}
		if id, err := keys.ParseTaskID(text); err == nil {
			if again := keys.AppendTaskID(nil, id); !bytes.Equal(again, text) {
				t.Errorf("%q parses, and is written %q", text, again)
			}
		}
	})
}

// FuzzID: every id, home and expiry comes back out of a token.
func FuzzID(f *testing.F) {
	keys := newKeys(f, keyB)
	f.Add([]byte("12345678"), int64(1_795_311_507_735), uint16(0))
	f.Fuzz(func(t *testing.T, node []byte, ms int64, op uint16) {
		var home correlator.NodeID
		copy(home[:], node)
		if ms < 0 {
			ms = -(ms + 1)
		}
		id := correlator.NewID(home, time.UnixMilli(ms))
		got, err := keys.ParseToken(keys.AppendToken(nil, correlator.Token{Trip: id, Op: int(op)}))
		if err != nil || got.Trip != id || got.Op != int(op) || got.Trip.Home() != home || got.Trip.Expiry().UnixMilli() != ms {
			t.Errorf("made of %v, %d, %d: %+v, %v", home, ms, op, got, err)
		}
	})
}

func TestTokenAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates")
		return
	}
	keys := newKeys(t, keyA, keyB)
	id := correlator.NewID(correlator.NewNodeID(), time.Now())
	buf := make([]byte, 0, correlator.TokenLen)
	if n := testing.AllocsPerRun(1000, func() { buf = keys.AppendToken(buf[:0], correlator.Token{Trip: id, Op: 1}) }); n > 0 {
		t.Errorf("AppendToken: %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = keys.ParseToken(buf) }); n > 0 {
		t.Errorf("ParseToken: %v allocations", n)
	}
	task := make([]byte, 0, correlator.TaskIDLen)
	if n := testing.AllocsPerRun(1000, func() { _, _ = keys.ParseTaskID(keys.AppendTaskID(task, id)) }); n > 0 {
		t.Errorf("AppendTaskID and ParseTaskID: %v allocations", n)
	}
}

func BenchmarkNewID(b *testing.B) {
	node := correlator.NewNodeID()
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		_ = correlator.NewID(node, now)
	}
}

func BenchmarkAppendToken(b *testing.B) {
	keys := newKeys(b, keyA)
	id := correlator.NewID(correlator.NewNodeID(), time.Now())
	buf := make([]byte, 0, correlator.TokenLen)
	b.ReportAllocs()
	for b.Loop() {
		buf = keys.AppendToken(buf[:0], correlator.Token{Trip: id, Op: 1})
	}
}

func BenchmarkParseToken(b *testing.B) {
	for name, keys := range map[string]*correlator.Keys{"first key": newKeys(b, keyA), "second key": newKeys(b, keyB, keyA)} {
		token := newKeys(b, keyA).AppendToken(nil, correlator.Token{Trip: correlator.NewID(correlator.NewNodeID(), time.Now()), Op: 1})
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := keys.ParseToken(token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestEventsToken: it opens the events of one task, is worth nothing elsewhere, and outlives a rotation of keys.
func TestEventsToken(t *testing.T) {
	one, two := strings.Repeat("1", correlator.MinKeyLen), strings.Repeat("2", correlator.MinKeyLen)
	keys, err := correlator.NewKeys([]string{one})
	if err != nil {
		t.Fatal(err)
	}
	id, other := correlator.NewID(correlator.NewNodeID(), time.Now()), correlator.NewID(correlator.NewNodeID(), time.Now())
	token := keys.AppendEventsToken(nil, id)
	if len(token) != correlator.EventsTokenLen || !keys.ParseEventsToken(token, id) || keys.ParseEventsToken(token, other) {
		t.Errorf("%s", token)
	}
	onlyGenuine(t, string(token), func(b []byte) error {
		if !keys.ParseEventsToken(b, id) {
			return correlator.ErrForged
		}
		return nil
	})
	task := keys.AppendTaskID(nil, id)
	if mac := task[len(task)-correlator.EventsTokenLen:]; keys.ParseEventsToken(mac, id) {
		t.Error("the end of a task id opens its events")
	}
	if err := keys.Set([]string{two, one}); err != nil {
		t.Fatal(err)
	}
	if !keys.ParseEventsToken(token, id) || bytes.Equal(token, keys.AppendEventsToken(nil, id)) {
		t.Error("after a rotation")
	}
}

// Flags change nothing else of an id: not its expiry, not its name, and not how long its tokens are.
func TestFlagsOfAnID(t *testing.T) {
	keys, err := correlator.NewKeys([]string{correlator.RandomKey()})
	if err != nil {
		t.Fatal(err)
	}
	plain := correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour))
	length := len(keys.AppendToken(nil, correlator.Token{Trip: plain}))
	for i, id := range []correlator.ID{plain, plain.Trace(), plain.Mark().Trace(), plain.Trace().Outlast().Mark()} {
		token := keys.AppendToken(nil, correlator.Token{Trip: id, Op: 3})
		read, err := keys.ParseToken(token)
		if err != nil || read.Trip != id || len(token) != length {
			t.Errorf("%d: %v, %d characters", i, err, len(token))
		}
		if got := read.Trip; got.Traced() != (i > 0) || got.Marked() != (i > 1) || got.Outlasts() != (i > 2) || !got.Expiry().Equal(plain.Expiry()) || got.Home() != plain.Home() || got.String() != plain.String() {
			t.Errorf("%d: %v", i, got)
		}
	}
}
