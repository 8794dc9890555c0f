package correlator_test

import (
	"bytes"
	"fmt"
	"testing"

	"syncgate/correlator"
)

// TestTag: a tag is good for the statement that it was made for, under the keys that are known, and for nothing else.
func TestTag(t *testing.T) {
	first, second := correlator.RandomKey(), correlator.RandomKey()
	k := newKeys(t, first)
	head, body := []byte("a head"), []byte(`{"a":1}`)
	tag := k.Tag(head, body)
	if again := k.Tag(head, body); again != tag {
		t.Error("the same statement has another tag")
	}
	for what, keys := range map[string]*correlator.Keys{"alone": k, "last": newKeys(t, second, first)} {
		if !keys.Tagged(tag[:], head, body) {
			t.Errorf("its key is %s: refused", what)
		}
	}
	if newKeys(t, second).Tagged(tag[:], head, body) {
		t.Error("good under another key")
	}
	for i := range tag {
		other := tag
		other[i] ^= 1
		if k.Tagged(other[:], head, body) {
			t.Errorf("good with byte %d changed", i)
		}
	}
	for what, other := range map[string]struct{ tag, head, body []byte }{
		"no tag":          {nil, head, body},
		"a part":          {tag[:15], head, body},
		"another head":    {tag[:], []byte("A head"), body},
		"a shorter head":  {tag[:], head[:5], body},
		"another body":    {tag[:], head, []byte(`{"a":2}`)},
		"a longer body":   {tag[:], head, append(bytes.Clone(body), 0)},
		"no body":         {tag[:], head, nil},
		"a moved border":  {tag[:], append(bytes.Clone(head), body[0]), body[1:]},
		"a token's bytes": {tag[:], nil, append(bytes.Clone(head), body...)},
	} {
		if k.Tagged(other.tag, other.head, other.body) {
			t.Errorf("good with %s", what)
		}
	}
}

func TestTagAllocations(t *testing.T) {
	k := newKeys(t, correlator.RandomKey())
	head, body := make([]byte, 36), make([]byte, 300)
	if n := testing.AllocsPerRun(1000, func() {
		if tag := k.Tag(head, body); !k.Tagged(tag[:], head, body) {
			t.Error("refused")
		}
	}); n > 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTag(b *testing.B) {
	k := newKeys(b, correlator.RandomKey())
	head := make([]byte, 36)
	for _, n := range []int{100, 4 << 10, 5 << 20} {
		b.Run(fmt.Sprintf("%d bytes", n), func(b *testing.B) {
			body := make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				k.Tag(head, body)
			}
		})
	}
}
