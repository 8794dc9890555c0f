package callbackdata

import (
	"errors"
	"hash/maphash"
	"math"
)

// A form or an XML document is walked once, which makes a list of its parts: offsets, no copies. Then its JSON is written twice from the
// list and the body: the first time only its size is counted. So reading a body of n bytes takes its JSON, which is little
// more than 2n bytes at most, and some tens of bytes for each part. The number of parts has a bound.

// mostParts is how many fields a form, or elements and attributes an XML document may have. A body for which that is less than one
// for bytesPerPart bytes may have as many as that. A task of the vendor's is too small to need them: it has at most 264,000 bytes.
const (
	mostParts    = 1 << 18
	bytesPerPart = 20
)

// partsOf gives how many parts a body may have.
func partsOf(body []byte) int { return max(mostParts, len(body)/bytesPerPart) }

// errTooLarge refuses bodies whose offsets have no room in a part.
var errTooLarge = errors.New("larger than 2 GiB")

func fits(body []byte) bool { return len(body) <= math.MaxInt32 }

// place is an offset in a body, or the index of a part.
type place int32

func placeOf(i int) place { return place(i) } //nolint:gosec // bodies that do not fit are refused before

// span is a stretch of a body.
type span struct{ start, end place }

func spanOf(start, end int) span { return span{placeOf(start), placeOf(end)} }

func (s span) of(body []byte) []byte { return body[s.start:s.end:s.end] }

// groups finds parts of the same name: the last one of each. It is a hash table of indices, sized once and never full.
type groups struct {
	seed  maphash.Seed
	slots []place // one more than the index; 0: free
	mask  uint64  // of a hash: the slot to begin at
}

// newGroups makes groups for so many parts at most.
func newGroups(parts int) groups {
	size, mask := 8, uint64(7)
	for size < 2*parts {
		size, mask = 2*size, 2*mask+1
	}
	return groups{maphash.MakeSeed(), make([]place, size), mask}
}

// swap puts a part in the place of the last one of its name, which it gives; ok is false when there was none. hash is that of the name, and
// same reports whether an earlier part has it.
func (g *groups) swap(hash uint64, part int, same func(earlier int) bool) (earlier int, ok bool) {
	at := hash & g.mask
	for g.slots[at] != 0 && !same(int(g.slots[at])-1) {
		at = (at + 1) & g.mask
	}
	earlier = int(g.slots[at]) - 1
	g.slots[at] = placeOf(part + 1)
	return earlier, earlier >= 0
}
