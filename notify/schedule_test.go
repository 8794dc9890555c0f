package notify_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"syncgate/notify"
)

const day = 24 * time.Hour

// TestDefaultSchedule walks through it with attempts that take up to a second: each is at most a tenth of its wait early, none is late, and the last
// is within the window.
func TestDefaultSchedule(t *testing.T) {
	want := []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
	for range 100 {
		age, step := time.Duration(0), 0
		for i, offset := range want {
			age += rand.N(time.Second)                                                                  //nolint:gosec // it is no secret
			after, next, ok := notify.Next(notify.DefaultSchedule(), step, age, day, 0, rand.Float64()) //nolint:gosec // it is no secret
			if least := (offset - age) * 9 / 10; !ok || after < least || age+after > offset {
				t.Fatalf("attempt %d is at %v, and was to be at %v", i+2, age+after, offset)
			}
			age, step = age+after, next
		}
		if _, _, ok := notify.Next(notify.DefaultSchedule(), step, age, day, 0, 0); ok && age > day-4*time.Hour {
			t.Fatalf("there is an attempt after that at %v", age)
		}
	}
}

func TestSchedule(t *testing.T) {
	for name, row := range map[string]struct {
		step               int
		age, window, retry time.Duration
		after              time.Duration
		next               int
		dead               bool
	}{
		"the second":                             {step: 0, age: time.Second, window: day, after: 4 * time.Second, next: 1},
		"the second, when it is late":            {step: 0, age: 15 * time.Second, window: day, after: 5 * time.Second, next: 1},
		"many missed are made up by one":         {step: 1, age: 3 * time.Hour, window: day, after: 5 * time.Second, next: 4},
		"and the next is on time":                {step: 4, age: 3*time.Hour + 5*time.Second, window: day, after: 2*time.Hour - 5*time.Second, next: 5},
		"all missed, the window over":            {step: 0, age: 100 * day, window: day, dead: true},
		"the last":                               {step: 9, age: day, window: day, dead: true},
		"no window is left for the next":         {step: 2, age: 6 * time.Minute, window: 20 * time.Minute, dead: true},
		"behind the schedule":                    {step: 9, age: day, window: 3 * day, after: 4 * time.Hour, next: 10},
		"Retry-After is later":                   {step: 0, age: 0, window: day, retry: time.Hour, after: time.Hour, next: 1},
		"Retry-After is sooner":                  {step: 2, age: 5 * time.Minute, window: day, retry: time.Second, after: 25 * time.Minute, next: 3},
		"Retry-After is later than the window":   {step: 0, age: time.Hour, window: day, retry: 2 * day, after: 23 * time.Hour, next: 3},
		"an attempt after Retry-After's end":     {step: 1, age: time.Hour, window: day, after: 5 * time.Second, next: 3},
		"the window's end after such an attempt": {step: 1, age: day, window: day, retry: day, dead: true},
	} {
		after, next, ok := notify.Next(notify.DefaultSchedule(), row.step, row.age, row.window, row.retry, 0)
		if after != row.after || next != row.next || ok == row.dead {
			t.Errorf("%s: %v, %d, %v", name, after, next, ok)
		}
	}
}
