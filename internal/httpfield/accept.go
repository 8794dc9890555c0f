package httpfield

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// Preferred gives the offer that a request's Accept prefers (RFC 9110, 12.5.1): the one with the greatest quality; of equal ones the one
// that is named most exactly, then the one that stands first in the request, then the first offer. Without an Accept it is the first
// offer. It is empty when no offer is acceptable. Offers are type/subtype in lower case; parameters other than q say nothing.
func Preferred(h *fasthttp.RequestHeader, offers ...string) string {
	lines := h.PeekAll(fasthttp.HeaderAccept)
	best, found := rank{}, ""
	for _, offer := range offers {
		r := rank{quality: mostQuality}
		if len(lines) > 0 {
			r = rankOf(lines, []byte(offer))
		}
		if r.quality > 0 && (found == "" || r.before(best)) {
			best, found = r, offer
		}
	}
	return found
}

const mostQuality = 1000

// rank is how much a media type is wanted.
type rank struct {
	quality int // in thousandths
	exact   int // how exactly it is named: 1 by */*, 2 by type/*, 3 by itself; 0: it is not
	at      int // where the name stands
}

func (r rank) before(s rank) bool {
	switch {
	case r.quality != s.quality:
		return r.quality > s.quality
	case r.exact != s.exact:
		return r.exact > s.exact
	}
	return r.at < s.at
}

// rankOf gives the rank of a media type: what names it most exactly decides.
func rankOf(lines [][]byte, offer []byte) (r rank) {
	at := 0
	for _, line := range lines {
		for len(line) > 0 {
			var item []byte
			item, line, _ = cutItem(line, ',')
			name, parameters, _ := cutItem(item, ';')
			at++
			exact := exactness(name, offer)
			if exact <= r.exact {
				continue
			}
			if q, ok := quality(parameters); ok {
				r = rank{q, exact, at}
			}
		}
	}
	return r
}

// exactness says how exactly a media range names a media type; 0: not at all.
func exactness(name, offer []byte) int {
	kind, _, _ := bytes.Cut(offer, []byte("/"))
	wanted, sub, _ := bytes.Cut(name, []byte("/"))
	switch {
	case bytes.EqualFold(name, offer):
		return 3
	case bytes.EqualFold(wanted, kind) && string(sub) == "*":
		return 2
	case string(name) == "*/*":
		return 1
	}
	return 0
}

// quality reads the weight among the parameters of a media range: 1 where there is none. What is none is not ok.
func quality(parameters []byte) (thousandths int, ok bool) {
	for len(parameters) > 0 {
		var pair []byte
		pair, parameters, _ = cutItem(parameters, ';')
		name, value, ok := cutPair(pair)
		if bytes.EqualFold(name, []byte("q")) {
			if !ok {
				return 0, false
			}
			return weight(value)
		}
	}
	return mostQuality, true
}

// weight reads 0, 1, or one of them with up to three decimals.
func weight(text []byte) (thousandths int, ok bool) {
	const most = len("0.000")
	if len(text) == 0 || len(text) > most || text[0] != '0' && text[0] != '1' || len(text) > 1 && text[1] != '.' {
		return 0, false
	}
	thousandths = int(text[0]-'0') * mostQuality
	for i, unit := 2, mostQuality/10; i < len(text); i, unit = i+1, unit/10 {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		thousandths += int(text[i]-'0') * unit
	}
	return thousandths, thousandths <= mostQuality
}
