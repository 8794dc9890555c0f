package notify

import (
	"errors"
	"time"
)

// DefaultSchedule is when attempts are made, from the moment on when a notification was stored.
func DefaultSchedule() []time.Duration {
	return []time.Duration{
		0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
}

// schedule is offsets from the beginning of the window. Behind the last one the last gap repeats.
type schedule []time.Duration

func newSchedule(offsets []time.Duration) (schedule, error) {
	if len(offsets) < 2 || offsets[0] < 0 {
		return nil, errors.New("schedule: must have two or more offsets, none of them negative")
	}
	for i := range offsets[1:] {
		if offsets[i+1] <= offsets[i] {
			return nil, errors.New("schedule: each offset must be greater than the one before")
		}
	}
	return append(schedule(nil), offsets...), nil
}

func (s schedule) offset(step int) time.Duration {
	last := len(s) - 1
	if step <= last {
		return s[step]
	}
	return s[last] + time.Duration(step-last)*(s[last]-s[last-1])
}

// next gives when the attempt after that of a step is made, at an age, and its step. Attempts that were missed meanwhile are made up by one. It is not
// before retryAfter, where the receiver has said that, but for the end of the window. jitter, from 0 to below 1, brings it forward by up to a tenth.
// ok is false when the window is over.
func (s schedule) next(step int, age, window, retryAfter time.Duration, jitter float64) (after time.Duration, next int, ok bool) {
	next = step + 1
	for s.offset(next+1) <= age {
		next++
	}
	at := s.offset(next)
	if at <= age { // missed: soon, and not at once
		at = age + s[1] - s[0]
	}
	if at > window {
		return 0, 0, false
	}
	after = at - age
	after -= time.Duration(jitter * float64(after) / 10)
	return min(max(after, retryAfter), window-age), next, true
}
