package httpfield

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// Preferences are those of a request's Prefer (RFC 7240) that say when it is to be answered.
type Preferences struct {
	Wait         time.Duration // "wait", in whole seconds
	HasWait      bool          // there is one, and it is a number
	RespondAsync bool          // "respond-async"
	Redirect     bool          // "redirect", which is this gateway's own
}

// ReadPreferences reads the Prefer of a request, whose wait is at most limit. The first preference of a name counts, also when nothing can be
// made of its value; then it says nothing. What cannot be read is ignored.
func ReadPreferences(h *fasthttp.RequestHeader, limit time.Duration) (p Preferences) {
	var wait, async, redirect bool // seen
	for _, line := range h.PeekAll("Prefer") {
		for len(line) > 0 {
			var item []byte
			item, line, _ = cutItem(line, ',')
			preference, _, _ := cutItem(item, ';')
			name, value, ok := cutPair(preference)
			switch {
			case !wait && bytes.EqualFold(name, []byte("wait")):
				wait = true
				if ok {
					p.Wait, p.HasWait = wholeSeconds(value, limit)
				}
			case !async && bytes.EqualFold(name, []byte("respond-async")):
				async = true
				p.RespondAsync = ok && len(value) == 0
			case !redirect && bytes.EqualFold(name, []byte("redirect")):
				redirect = true
				p.Redirect = ok && len(value) == 0
			}
		}
	}
	return p
}

// PreferredWait gives how long a client prefers to wait, at most limit: the first "wait" of its Prefer, in whole seconds (RFC 7240, 2 and
// 4.3). It is 0 when there is none, or when the first one is no number.
func PreferredWait(h *fasthttp.RequestHeader, limit time.Duration) time.Duration {
	return ReadPreferences(h, limit).Wait
}

// wholeSeconds reads a number of seconds, however large, that is at most limit. What is no number is not ok.
func wholeSeconds(text []byte, limit time.Duration) (d time.Duration, ok bool) {
	n, err := strconv.ParseUint(string(text), 10, 63) // a sign is no digit
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && n > uint64(limit/time.Second): //nolint:gosec // limit is positive
		return limit, true
	case err != nil:
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}
