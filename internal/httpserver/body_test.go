package httpserver

import (
	"strings"
	"testing"
)

// decoded reads a body in chunks that comes in two parts, with rest behind it.
func decoded(raw string, cut int, limit int64) (text, rest string, o outcome, why ReadError) {
	b := body{budget: NewBudget(1 << 20), limit: limit, length: -1}
	o = wantsMore
	var left []byte
	for _, part := range [...]string{raw[:cut], raw[cut:]} {
		if o != wantsMore {
			rest += part
			continue
		}
		left, o, why = b.add([]byte(part))
		rest = string(left)
	}
	return string(b.bytes), rest, o, why
}

func TestChunks(t *testing.T) {
	fine := func(raw, want string) {
		t.Helper()
		const next = "GET / HTTP/1.1\r\n"
		for cut := 0; cut <= len(raw); cut++ {
			if text, rest, o, _ := decoded(raw+next, cut, 100); o != complete || text != want || rest != next {
				t.Errorf("%q cut at %d: %q, %q, %d", raw, cut, text, rest, o)
				return
			}
		}
	}
	fine("0\r\n\r\n", "")
	fine("3\r\nabc\r\n0\r\n\r\n", "abc")
	fine("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", "abc0123456789")
	fine("a;x=y;z\r\n0123456789\r\n000\r\n\r\n", "0123456789")
	fine("1\r\na\r\n0\r\nX-Checksum: 1\r\nY:\r\n\r\n", "a")
	wrong := func(raw string, kind ReadKind, problem string) {
		t.Helper()
		for cut := 0; cut <= len(raw); cut += 1 + len(raw)/200 {
			if _, _, o, why := decoded(raw, cut, 100); o != refused || why.Kind != kind || !strings.Contains(why.Problem, problem) {
				t.Errorf("%q cut at %d: %d, %+v; want %q", raw, cut, o, why, problem)
				return
			}
		}
	}
	for _, size := range []string{"", "g", "-1", "+1", " 1", "1 ", "0x1", "1\t", strings.Repeat("0", 16) + "1", `"1"`} {
		wrong(size+"\r\na\r\n0\r\n\r\n", Malformed, "size is not")
	}
	wrong("1\na\r\n0\r\n\r\n", Malformed, "size is not")
	wrong("1\ra\r\n0\r\n\r\n", Malformed, "does not end in CRLF")
	wrong("1;x\na\r\n0\r\n\r\n", Malformed, "extension")
	wrong("1;\x00\r\na\r\n0\r\n\r\n", Malformed, "extension")
	wrong("1;"+strings.Repeat("x", extensionLimit+1)+"\r\na\r\n", Malformed, "extension")
	wrong(strings.Repeat("1;"+strings.Repeat("x", 40)+"\r\na\r\n", 30), Malformed, "extension")
	wrong("1\r\nab\r\n0\r\n\r\n", Malformed, "does not end")
	wrong("1\r\na\n0\r\n\r\n", Malformed, "does not end")
	wrong("1\r\na0\r\n\r\n", Malformed, "does not end")
	wrong("0\r\n\n", Malformed, "CRLF")
	wrong("0\n\n", Malformed, "size is not")
	wrong("0\r\nX : a\r\n\r\n", Malformed, "not a token")
	wrong("0\r\nX: a\n\r\n", Malformed, "CRLF")
	wrong("0\r\n X: a\r\n\r\n", Malformed, "folded")
	wrong("0\r\nX: a\x01\r\n\r\n", Malformed, "control")
	wrong("0\r\ngarbage\r\n\r\n", Malformed, "no colon")
	for _, name := range []string{"Content-Length", "transfer-encoding", "HOST", "Trailer", "Content-Encoding", "Content-Type"} {
		wrong("0\r\n"+name+": 1\r\n\r\n", Malformed, "must not frame")
	}
	wrong("0\r\nX: "+strings.Repeat("x", HeadLimit)+"\r\n\r\n", HeadTooLarge, "")
	wrong("65\r\n", BodyTooLarge, "")
	wrong("7fffffff\r\n", BodyTooLarge, "")
	wrong("32\r\n"+strings.Repeat("x", 50)+"\r\n33\r\n", BodyTooLarge, "")
}

// A body costs what has come of it, and not what was announced.
func TestBodyGrows(t *testing.T) {
	budget := NewBudget(1 << 20)
	b := body{budget: budget, limit: 1 << 20, length: 1 << 20}
	if _, o, _ := b.add([]byte("x")); o != wantsMore || budget.Used() > FreeBody || cap(b.bytes) > FreeBody {
		t.Errorf("one byte: %d, %d charged, %d allocated", o, budget.Used(), cap(b.bytes))
	}
	part := []byte(strings.Repeat("x", 10_000))
	for len(b.bytes)+len(part) < 1<<20 {
		if _, o, _ := b.add(part); o != wantsMore {
			t.Fatalf("%d after %d bytes", o, len(b.bytes))
		}
		if used := budget.Used(); used < int64(cap(b.bytes)) || used > int64(max(2*len(b.bytes), 2*len(part))) {
			t.Fatalf("%d charged for %d bytes in %d", used, len(b.bytes), cap(b.bytes))
		}
	}
	if rest, o, _ := b.add(part); o != complete || len(b.bytes) != 1<<20 || len(rest) == 0 || cap(b.bytes) > 1<<20 {
		t.Errorf("at the end: %d, %d bytes in %d", o, len(b.bytes), cap(b.bytes))
	}
	b.paid.Release()
	b.paid.Release()
	if budget.Used() != 0 {
		t.Errorf("%d charged at the end", budget.Used())
	}
}

// Large bodies leave room for small ones.
func TestBudgetReserve(t *testing.T) {
	b := NewBudget(1 << 20)
	f := func(length int64, want bool) {
		t.Helper()
		if got := new(Reservation).Resize(b, length); got != want {
			t.Errorf("Resize(%d) = %v", length, got)
		}
	}
	for range 64 {
		f(1<<20, true)
	}
	f(smallBody+1, false)
	for range 16 << 20 / smallBody {
		f(smallBody, true)
	}
	f(smallBody, false)
	f(FreeBody, true)
}
