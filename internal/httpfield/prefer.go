package httpfield

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// PreferredWait gives how long a client prefers to wait, at most limit: the first "wait" of its Prefer, in whole seconds (RFC 7240, 2 and
// 4.3). It is 0 when there is none, or when the first one is no number.
func PreferredWait(h *fasthttp.RequestHeader, limit time.Duration) time.Duration {
	for _, line := range h.PeekAll("Prefer") {
		for len(line) > 0 {
			var item []byte
			item, line, _ = cutItem(line, ',')
			preference, _, _ := cutItem(item, ';')
			name, value, ok := cutPair(preference)
			switch {
			case !bytes.EqualFold(name, []byte("wait")):
			case !ok:
				return 0
			default:
				return wholeSeconds(value, limit)
			}
		}
	}
	return 0
}

// wholeSeconds reads a number of seconds, however large, that is at most limit. What is no number is 0.
func wholeSeconds(text []byte, limit time.Duration) time.Duration {
	n, err := strconv.ParseUint(string(text), 10, 63) // a sign is no digit
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && n > uint64(limit/time.Second): //nolint:gosec // limit is positive
		return limit
	case err != nil:
		return 0
	}
	return time.Duration(n) * time.Second
}
