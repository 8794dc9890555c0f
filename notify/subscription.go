package notify

import (
	"context"
	"errors"
	"strings"
	"time"

	"syncgate/signer"
)

// Mode is how long a Subscription lasts.
type Mode string

const (
	// Once is for one task: it ends by itself when that was notified.
	Once Mode = "once"
	// Continuous is for every task of a Group, until it is cancelled.
	Continuous Mode = "continuous"
)

// SubscriptionState is where a Subscription stands.
type SubscriptionState string

const (
	// Active waits for tasks to end, or for their notifications to be delivered.
	Active SubscriptionState = "active"
	// Completed has had its one notification delivered.
	Completed SubscriptionState = "completed"
	// Cancelled was cancelled by its owner.
	Cancelled SubscriptionState = "cancelled"
	// Ended has a receiver that answered 410 or 403, or that answered nothing good within the window.
	Ended SubscriptionState = "ended"
)

// KeepSubscription is how long one that is not Active is kept.
const KeepSubscription = 7 * 24 * time.Hour

const (
	// TopicLength is how many notifications the stream of a topic keeps, at least, as far as TopicBytes has room for them: the oldest go first.
	TopicLength = 10_000
	// TopicBytes is how much memory of Redis a topic takes, about.
	TopicBytes = 64 << 20
)

var (
	// ErrQuota refuses one more subscription of an owner.
	ErrQuota = errors.New("the owner has as many subscriptions as may be")
	// ErrInactive says that a subscription is not Active, so that there is nothing to cancel.
	ErrInactive = errors.New("the subscription is not active")
	// ErrNoTopics says that the store has no streams: it is not Redis.
	ErrNoTopics = errors.New("topics need Redis")
)

// Subscription is what somebody wants to hear of: the end of one task, or of all tasks of a Group.
type Subscription struct {
	ID      string // a UUID
	Owner   string // who made it: at most 256 bytes
	Group   string // which tasks it is for, at most 256 bytes; Match finds it by that
	Mode    Mode
	URL     string          // of the receiver; empty: notifications are appended to a topic
	Topic   string          // the key of its stream in Redis; set by Add where URL is empty
	Secrets []signer.Secret // whsec_…: they sign; stored sealed. None: those of the owner sign
	Task    string          // Once: the id of the task for clients
	State   SubscriptionState
	Created time.Time
	Ended   time.Time // zero while Active
	Until   time.Time // Add alone reads it: when one that is Active still is forgotten, and counts no more; zero: never
	Last    *Attempt  // the last attempt of any notification; nil: there was none
}

// Subscriptions keep Subscription values, for one process (NewMemorySubscriptions) or for all that share a Redis (NewRedisSubscriptions). Methods are safe for
// concurrent use and fail with ErrUnavailable when the store does not answer; then they may have happened or not.
type Subscriptions interface {
	// Add keeps a subscription, which is Active. It does nothing where its ID is known with the same Owner. most bounds those of the owner that are Active: ErrQuota.
	// Where URL is empty it makes a topic, which Get gives: ErrNoTopics. It fails with ErrFull where the store has no room, and with an *InvalidError.
	Add(ctx context.Context, s Subscription, most int) error
	// Get gives a subscription. ErrUnknown.
	Get(ctx context.Context, id string) (Subscription, error)
	// End ends one that is Active. state is Completed, Cancelled or Ended. ErrUnknown, ErrInactive.
	End(ctx context.Context, id string, state SubscriptionState) error
	// Match gives the Continuous ones of an owner that are Active and of a group, in no order, each once.
	Match(ctx context.Context, owner, group string) ([]Subscription, error)
	// Note keeps what came of an attempt. It does nothing where the id is unknown.
	Note(ctx context.Context, id string, last Attempt) error
	// Append appends a notification to the topic of a subscription: fields id and body. The same id is appended once, as far as the last
	// TopicLength are concerned. The id has at most 128 bytes, the body MaxBody: an *InvalidError. ErrUnknown, ErrInactive, ErrNoTopics.
	Append(ctx context.Context, id, notification string, body []byte) error
}

const (
	maxOwner = 256 // bytes of an owner, and of a group
	maxTask  = 256 // bytes of the id of a task
)

// check finds what is wrong with a Subscription that is to be added.
func (s Subscription) check() error {
	switch {
	case s.ID == "" || len(s.ID) > maxID || strings.ContainsFunc(s.ID, notOfID):
		return invalid("the id of a subscription must be 1 to %d letters, digits, _ and -", maxID)
	case len(s.Owner) > maxOwner || len(s.Group) > maxOwner || len(s.Task) > maxTask || len(s.URL) > MaxURL:
		return invalid("a subscription's owner, group, task or URL is too long")
	case s.Mode != Once && s.Mode != Continuous:
		return invalid("a subscription's mode must be once or continuous")
	case len(s.Secrets) > maxSecrets:
		return invalid("a subscription has more than %d secrets", maxSecrets)
	}
	for _, secret := range s.Secrets {
		if _, err := signer.ParseWebhookSecret(string(secret)); err != nil {
			return invalid("a secret %v", err)
		}
	}
	return nil
}

// checkAppended finds what is wrong with a notification for a topic.
func checkAppended(notification string, body []byte) error {
	if notification == "" || len(notification) > maxID || len(body) > MaxBody {
		return invalid("a topic takes an id of 1 to %d bytes, and a body of at most %d", maxID, MaxBody)
	}
	return nil
}

// ends reports whether a subscription that has ended can be in a state.
func (s SubscriptionState) ends() bool { return s == Completed || s == Cancelled || s == Ended }

var errEndState = errors.New("a subscription ends as completed, cancelled or ended")
