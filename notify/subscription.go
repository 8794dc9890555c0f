package notify

import (
	"context"
	"errors"
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

// TopicLength is how many notifications the stream of a topic keeps, at least: the oldest go first.
const TopicLength = 10_000

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
	Last    *Attempt  // the last attempt of any notification; nil: there was none
}

// Subscriptions keep Subscription values, for one process (NewMemorySubscriptions) or for all that share a Redis (NewRedisSubscriptions). Methods are safe for
// concurrent use and fail with ErrUnavailable when the store does not answer.
type Subscriptions interface {
	// Add keeps a subscription. It does nothing where its ID is known with the same Owner. most bounds those of the owner that are Active: ErrQuota.
	// ErrNoTopics.
	Add(ctx context.Context, s Subscription, most int) error
	// Get gives a subscription. ErrUnknown.
	Get(ctx context.Context, id string) (Subscription, error)
	// End ends one that is Active. ErrUnknown, ErrInactive.
	End(ctx context.Context, id string, state SubscriptionState) error
	// Match gives the Continuous ones of an owner that are Active and of a group.
	Match(ctx context.Context, owner, group string) ([]Subscription, error)
	// Note keeps what came of an attempt. It does nothing where the id is unknown.
	Note(ctx context.Context, id string, last Attempt) error
	// Append appends a notification to the topic of a subscription: fields id and body. The same id is appended once, as far as the last
	// TopicLength are concerned. ErrUnknown, ErrInactive, ErrNoTopics.
	Append(ctx context.Context, id, notification string, body []byte) error
}
