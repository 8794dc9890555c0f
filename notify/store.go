package notify

import (
	"context"
	"errors"
	"time"
)

// State is where a notification stands.
type State string

const (
	// Open has an attempt to come, or one that runs.
	Open State = "open"
	// Delivered had a 2xx. It is known for KeepDelivered, without its body.
	Delivered State = "delivered"
	// Refused had a 403. It is kept for KeepEnded.
	Refused State = "refused"
	// Gone had a 410, or its subscription ended before. It is kept for KeepEnded.
	Gone State = "gone"
	// Dead had no attempt that succeeded within the window. It is kept for KeepEnded.
	Dead State = "dead"
)

const (
	// KeepEnded is how long a notification that was not delivered is kept.
	KeepEnded = 7 * 24 * time.Hour
	// KeepDelivered is how long a delivered one is known, so that a second Send of its id sends nothing.
	KeepDelivered = time.Hour
)

var (
	// ErrUnknown says that no notification or subscription has that id, or has it any more.
	ErrUnknown = errors.New("nothing has this id")
	// ErrDelivered says that a notification was delivered and is not sent again.
	ErrDelivered = errors.New("the notification was delivered, and is not sent again")
	// ErrFull says that as many notifications are open, or subscriptions active, as may be.
	ErrFull = errors.New("too many notifications or subscriptions are open")
	// ErrUnavailable says that the store did not do what it was asked, as far as we know.
	ErrUnavailable = errors.New("the store of notifications is unavailable")
	// ErrClosed says that the Sender was closed.
	ErrClosed = errors.New("the sender of notifications is closed")
)

// Record is what a Store keeps of a notification.
type Record struct {
	ID           string
	Subscription string
	Trip         string
	URL          string
	Host         string // host and port of the URL: attempts are bounded for each
	Body         []byte
	Sealed       []byte // the header and the secrets
}

// Job is a claimed notification: one attempt of it is to be made.
type Job struct {
	Record

	Token   string        // of the claim
	Attempt int           // 1 for the first
	Step    int           // the offset of the schedule that the attempt is made for, from 0 on
	Age     time.Duration // since the window began
	Created time.Time
}

// Room is how many attempts a Sender can make now, and for how long it claims them.
type Room struct {
	Most  int            // notifications
	Bytes int            // of their bodies, but the first one is always claimed; 0: any number
	Slots int            // of each host
	Free  map[string]int // of hosts that have less than Slots
	Lease time.Duration  // how long an attempt and the storing of its outcome take at most
	Grace time.Duration  // how long after that the outcome is waited for, once somebody else looks
}

// free gives how many attempts of a host may begin.
func (r Room) free(host string) int {
	if n, ok := r.Free[host]; ok {
		return n
	}
	return r.Slots
}

// takes reports whether a claim that has some jobs may take one more, with a body of so many bytes.
func (r Room) takes(jobs []Job, size int) bool {
	if r.Bytes == 0 || len(jobs) == 0 {
		return len(jobs) < r.Most
	}
	for i := range jobs {
		size += len(jobs[i].Body)
	}
	return len(jobs) < r.Most && size <= r.Bytes
}

// Attempt is what came of one attempt.
type Attempt struct {
	At       time.Time     `json:"at"`               // when it began
	Duration time.Duration `json:"duration_ns"`      // until the head of the answer, or the failure
	Status   int           `json:"status,omitempty"` // 0: no answer
	Outcome  Outcome       `json:"outcome"`          // the class
	Error    string        `json:"error,omitempty"`  // words about a failure without a status, for operators alone: they may name an address
	Number   int           `json:"attempt"`          // 1 for the first
}

// Verdict is what becomes of a claimed notification after an attempt.
type Verdict struct {
	ID, Host, Token string
	State           State         // Open: there is another attempt
	After           time.Duration // until that
	Step            int           // of that
	Unsent          bool          // nothing was sent: the attempt that was claimed does not count
	Last            Attempt
}

// Entry is what operators see of a notification: never its body, header, secrets, or the query of its URL.
type Entry struct {
	ID           string    `json:"id"`
	Subscription string    `json:"subscription"`
	Trip         string    `json:"trip,omitempty"` // of the task
	URL          string    `json:"url"`            // a query is shown as ?…
	State        State     `json:"state"`
	Sending      bool      `json:"sending"` // an attempt runs
	Attempts     int       `json:"attempts"`
	Created      time.Time `json:"created"`
	Due          time.Time `json:"due,omitzero"`   // the next attempt, while State is Open
	Ended        time.Time `json:"ended,omitzero"` // when State is another
	Size         int       `json:"size"`           // of the body, in bytes
	Last         *Attempt  `json:"last,omitempty"`
}

// when is what a state's entries are ordered by.
func (e Entry) when() time.Time {
	if e.State == Open {
		return e.Created
	}
	return e.Ended
}

// MaxList is how many entries List gives at most.
const MaxList = 1000

// Filter says which entries List gives.
type Filter struct {
	State        State  // Open, Refused, Gone or Dead; empty counts as Open
	Subscription string // of this one alone; empty: of all
	Limit        int    // at most so many, 0 or more than MaxList: MaxList
	After        string // the cursor that the List before returned; empty: from the oldest on
}

// Stats are figures of a whole store.
type Stats struct {
	Open, Dead, Refused, Gone int
	Oldest                    time.Duration // the age of the oldest open one, 0 without one
}

// Store keeps notifications, for one process (NewMemory) or for all that share a Redis (NewRedis). Its methods are safe for concurrent use.
// They fail with ErrUnavailable when the store does not answer; then they may have happened or not. Operators use List, Show, Retry, Drop and
// Stats without a Sender; the rest is a Sender's.
type Store interface {
	// Put keeps a notification, whose first attempt is due now. It does nothing where one with its id is known. It fails with ErrFull.
	Put(ctx context.Context, r Record) error
	// Claim gives due notifications, oldest first, and next, how long until another is due. No other Claim gives them before their lease ended
	// and, after somebody has seen that, the grace as well.
	Claim(ctx context.Context, room Room) (jobs []Job, next time.Duration, err error)
	// Finish stores a verdict. Delivered is stored even if somebody else has claimed the notification meanwhile; other verdicts count for nothing once the claim
	// is lost. One about a notification that is not there counts for nothing.
	Finish(ctx context.Context, v Verdict) error
	// List gives entries of one state, oldest first, and the cursor of the rest, empty when there is none.
	List(ctx context.Context, f Filter) (entries []Entry, after string, err error)
	// Show gives one. It fails with ErrUnknown.
	Show(ctx context.Context, id string) (Entry, error)
	// Retry has an attempt made now. One that had ended is open again with a new window, and attempts of the whole schedule. It does nothing
	// while an attempt runs. It fails with ErrUnknown and ErrDelivered.
	Retry(ctx context.Context, id string) error
	// Drop forgets a notification. An attempt that runs goes on. It fails with ErrUnknown.
	Drop(ctx context.Context, id string) error
	// Open reports whether any of these notifications is Open. Those that are unknown are not.
	Open(ctx context.Context, ids []string) (bool, error)
	// Stats counts.
	Stats(ctx context.Context) (Stats, error)
}
