package promises

import (
	"fmt"
	"time"
)

// Visit is one request with a notification, as its receiver had it.
type Visit struct {
	ID     string // webhook-id
	UUID   string // of the subscription, or the task's id
	Status string // of the task: Succeeded, Failed or Canceled
	Data   string // the result, in JSON
	Wrong  string // what is wrong with the request, its signature for example. Empty: nothing

	Began    time.Time
	Ended    time.Time // zero: it runs
	Answered int       // the status that the receiver has written while the sender was there; 0: none
}

// IsAccepted reports whether the receiver has answered 2xx.
func (v Visit) IsAccepted() bool { return v.Answered/100 == 2 }

// Visits are all requests with one notification, in the order of their beginnings.
type Visits []Visit

// Accepted is how many of them the receiver has answered with 2xx.
func (v Visits) Accepted() (n int) {
	for _, each := range v {
		if each.IsAccepted() {
			n++
		}
	}
	return n
}

// Repeated says that the notification was sent again though the receiver had answered 2xx. Empty: it was not. heard says that the sender has heard each 2xx for sure:
// one that is killed may not have heard the last thing that was written to it.
func (v Visits) Repeated(heard bool) string {
	for i, each := range v {
		if each.IsAccepted() && heard && i < len(v)-1 {
			return fmt.Sprintf("it came again at %s, and was accepted at %s", v[i+1].Began.Format(clock), each.Ended.Format(clock))
		}
	}
	return ""
}

// Overlapping says that two attempts ran at once. Empty: none did.
func (v Visits) Overlapping() string {
	for i := 1; i < len(v); i++ {
		if before := v[i-1]; before.Ended.IsZero() || v[i].Began.Before(before.Ended) {
			return fmt.Sprintf("an attempt began at %s while another one ran", v[i].Began.Format(clock))
		}
	}
	return ""
}

// Mistaken says that a request was wrong, or brought another result than this one. Empty: none did.
func (v Visits) Mistaken(result string) string {
	for _, each := range v {
		switch {
		case each.Wrong != "":
			return "a notification is wrong: " + each.Wrong
		case each.Data != result || each.ID != v[0].ID || each.UUID != v[0].UUID:
			return fmt.Sprintf("somebody else's result %.200s, want %s", each.Data, result)
		}
	}
	return ""
}

const clock = "15:04:05.000"
