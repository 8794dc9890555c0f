package metrici

import (
	"errors"
	"strings"
	"time"

	"github.com/sosodev/duration"
)

const (
	// mostTimeout bounds the time that a worker may have.
	mostTimeout = 366 * 24 * time.Hour
	// mostRetention bounds how long a result is kept that is not kept for ever.
	mostRetention = 10 * 366 * 24 * time.Hour
	// forever is how long a result is kept that does not expire: longer than anything that keeps it.
	forever = 100 * 365 * 24 * time.Hour
)

var errDuration = errors.New("must be a duration such as PT1H, PT24H, P1D or 90m")

// parseDuration reads a duration of ISO 8601 (PT24H), or one as everywhere else in the configuration (24h). Years and months, whose length depends on the
// calendar, are refused. It is longer than 0 and at most most.
func parseDuration(text string, most time.Duration) (d time.Duration, err error) {
	if !strings.HasPrefix(text, "P") {
		if d, err = time.ParseDuration(text); err != nil {
			return 0, errDuration
		}
		return bounded(d.Seconds(), most)
	}
	days, _, _ := strings.Cut(text, "T")
	if strings.ContainsAny(days, "YM") {
		return 0, errors.New("must not have years or months, whose length is not always the same: write days, as in P30D")
	}
	p, err := duration.Parse(text)
	if err != nil {
		return 0, errDuration
	}
	return bounded(p.Seconds+60*(p.Minutes+60*(p.Hours+24*(p.Days+7*p.Weeks))), most)
}

func bounded(seconds float64, most time.Duration) (time.Duration, error) {
	switch {
	case !(seconds > 0) || seconds < time.Millisecond.Seconds():
		return 0, errors.New("must be longer than 0, such as PT1H")
	case seconds > most.Seconds():
		return 0, errors.New("must be at most P" + wholeDays(most) + "D")
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
