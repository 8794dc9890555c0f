package notify

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"syncgate/signer"
)

var (
	//go:embed scripts/subscriptions/common.lua
	subCommonText string
	//go:embed scripts/subscriptions/add.lua
	subAddText string
	//go:embed scripts/subscriptions/end.lua
	subEndText string
	//go:embed scripts/subscriptions/match.lua
	subMatchText string
	//go:embed scripts/subscriptions/note.lua
	subNoteText string
	//go:embed scripts/subscriptions/append.lua
	subAppendText string
)

var errOtherOwner = errors.New("another owner has a subscription with this id")

// mostPlaces is how many subscriptions a process knows the shard of.
const mostPlaces = 10_000

// RedisSubscriptions are Subscriptions that all processes share which have the same Redis (or Valkey, Sentinel, Cluster) and prefix.
//
// Keys begin with the prefix and :subscriptions:1:{subscriptions-0}: with the number of the shard. All of an owner is in one shard, so that one script counts
// and adds; a Cluster has eight shards, others one. Times are those of Redis, but for Created. scripts/subscriptions/common.lua says what the keys hold.
//
// Each subscription is sealed, whether it has secrets or not: id, owner, group, mode, URL, topic and task. So who can write to Redis cannot have results sent to a
// URL that no owner has named. What cannot be opened counts for nothing, and the log says so; one whose key is not in callback.keys any more is among that.
type RedisSubscriptions struct {
	sharded

	sealer *signer.Sealer
	log    zerolog.Logger

	add, end, match, note, appendTo *script

	mu     sync.Mutex
	places map[string]string // the shards of subscriptions; they never move
	warned seldom
}

// NewRedisSubscriptions makes Subscriptions. prefix begins every key. It sends nothing yet, and does not close the client, which is to have
// ContextTimeoutEnabled. The log says what cannot be opened.
func NewRedisSubscriptions(client goredis.UniversalClient, prefix string, sealer *signer.Sealer, log zerolog.Logger) *RedisSubscriptions {
	return &RedisSubscriptions{
		sharded: newSharded(client, prefix, "subscriptions"), sealer: sealer, log: log, places: make(map[string]string),
		add: newScript(subCommonText, subAddText), end: newScript(subCommonText, subEndText), match: newScript(subCommonText, subMatchText),
		note: newScript(subCommonText, subNoteText), appendTo: newScript(subCommonText, subAppendText),
	}
}

// use is what the secrets of a Subscription are sealed for: all that does not change.
func (s Subscription) use() []byte {
	return fmt.Appendf(nil, "subscription\n%q\n%q\n%q\n%q\n%q\n%q\n%q", s.ID, s.Owner, s.Group, s.Mode, s.URL, s.Topic, s.Task)
}

// Add is Subscriptions'.
func (r *RedisSubscriptions) Add(ctx context.Context, s Subscription, most int) error {
	if err := s.check(); err != nil {
		return err
	}
	shard := r.shard(s.Owner)
	s.Topic = ""
	if s.URL == "" {
		s.Topic = shard + "topic:" + rand.Text()
	}
	now := time.Now()
	if s.Created.IsZero() {
		s.Created = now
	}
	lasts := int64(0)
	if !s.Until.IsZero() {
		lasts = max(1, s.Until.Sub(now).Milliseconds())
	}
	var secrets []string
	for _, secret := range s.Secrets {
		secrets = append(secrets, string(secret))
	}
	plain, err := json.Marshal(secrets)
	if err != nil {
		return invalid("a secret is no text")
	}
	sealed := r.sealer.Seal(nil, plain, s.use())
	done, err := r.run(ctx, r.add, shard, "s:"+s.ID,
		s.ID, s.Owner, s.Group, string(s.Mode), s.URL, s.Topic, s.Task, s.Created.UnixMilli(), sealed, most, lasts).Int()
	switch {
	case err != nil:
		return unavailable("add a subscription", err)
	case done == -1:
		return ErrQuota
	case done == -2:
		return errOtherOwner
	}
	r.remember(s.ID, shard)
	return nil
}

// subFields are what a Subscription is made of, in the order of scripts/subscriptions/common.lua.
var subFields = []string{"id", "owner", "group", "mode", "url", "topic", "task", "state", "created", "ended", "sealed", "last"}

// parse makes a Subscription of fields. ok is false for what is not ours.
func (r *RedisSubscriptions) parse(f []any) (s Subscription, ok bool) {
	if len(f) != len(subFields) || f[0] == nil {
		return s, false
	}
	s = Subscription{
		ID: text(f[0]), Owner: text(f[1]), Group: text(f[2]), Mode: Mode(text(f[3])), URL: text(f[4]), Topic: text(f[5]), Task: text(f[6]),
		State: SubscriptionState(text(f[7])), Created: instant(f[8]), Ended: instant(f[9]),
	}
	plain, err := r.sealer.Open(nil, []byte(text(f[10])), s.use())
	var secrets []string
	if err != nil || json.Unmarshal(plain, &secrets) != nil || s.State != Active && !s.State.ends() {
		r.warn()
		return Subscription{}, false
	}
	for _, secret := range secrets {
		s.Secrets = append(s.Secrets, signer.Secret(secret))
	}
	if last := text(f[11]); last != "" {
		s.Last = new(Attempt)
		if json.Unmarshal([]byte(last), s.Last) != nil {
			s.Last = nil
		}
	}
	return s, true
}

// warn says that there is a subscription that cannot be opened, once a second at most.
func (r *RedisSubscriptions) warn() {
	r.mu.Lock()
	more, ok := r.warned.may(time.Now())
	r.mu.Unlock()
	if ok {
		r.log.Warn().Int("more", more).Msg("a subscription cannot be opened, and counts for nothing: it was changed, or its key is not in callback.keys any more")
	}
}

// Get is Subscriptions'.
func (r *RedisSubscriptions) Get(ctx context.Context, id string) (Subscription, error) {
	shards := r.shards
	if shard, ok := r.place(id); ok {
		shards = []string{shard}
	}
	pipe := r.client.Pipeline()
	found := make([]*goredis.SliceCmd, len(shards))
	for i, shard := range shards {
		found[i] = pipe.HMGet(ctx, shard+"s:"+id, subFields...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return Subscription{}, unavailable("look for a subscription", err)
	}
	for i, f := range found {
		if s, ok := r.parse(f.Val()); ok && s.ID == id && r.shard(s.Owner) == shards[i] {
			r.remember(id, shards[i])
			return s, nil
		}
	}
	return Subscription{}, ErrUnknown
}

// place gives the shard of a subscription, where that is known.
func (r *RedisSubscriptions) place(id string) (shard string, ok bool) {
	if len(r.shards) == 1 {
		return r.shards[0], true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	shard, ok = r.places[id]
	return shard, ok
}

func (r *RedisSubscriptions) remember(id, shard string) {
	if len(r.shards) == 1 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.places) >= mostPlaces {
		for other := range r.places {
			delete(r.places, other)
			break
		}
	}
	r.places[id] = shard
}

// at runs a script on a subscription, in its shard. ErrUnknown.
func (r *RedisSubscriptions) at(ctx context.Context, what string, of *script, id string, args ...any) (done int, err error) {
	shard, ok := r.place(id)
	if !ok {
		s, err := r.Get(ctx, id)
		if err != nil {
			return 0, err
		}
		shard = r.shard(s.Owner)
	}
	done, err = r.run(ctx, of, shard, "s:"+id, args...).Int()
	switch {
	case err != nil:
		return 0, unavailable(what, err)
	case done == -1:
		return 0, ErrUnknown
	}
	return done, nil
}

// End is Subscriptions'.
func (r *RedisSubscriptions) End(ctx context.Context, id string, state SubscriptionState) error {
	if !state.ends() {
		return errEndState
	}
	done, err := r.at(ctx, "end a subscription", r.end, id, id, string(state), KeepSubscription.Milliseconds())
	if err == nil && done == 0 {
		return ErrInactive
	}
	return err
}

// Match is Subscriptions'. It is one script.
func (r *RedisSubscriptions) Match(ctx context.Context, owner, group string) (all []Subscription, err error) {
	shard := r.shard(owner)
	rows, err := r.run(ctx, r.match, shard, fmt.Sprintf("group:%d:%s%s", len(owner), owner, group)).Slice()
	if err != nil {
		return nil, unavailable("look for subscriptions", err)
	}
	seen := make(map[string]bool, len(rows)) // a copy of one, or a set that has it twice, is no second one
	for _, row := range rows {
		f, _ := row.([]any)
		s, ok := r.parse(f)
		if ok && s.Owner == owner && s.Group == group && s.Mode == Continuous && s.State == Active && !seen[s.ID] {
			seen[s.ID] = true
			r.remember(s.ID, shard)
			all = append(all, s)
		}
	}
	return all, nil
}

// Note is Subscriptions'.
func (r *RedisSubscriptions) Note(ctx context.Context, id string, last Attempt) error {
	text, err := json.Marshal(last)
	if err != nil {
		return err
	}
	_, err = r.at(ctx, "note an attempt of a subscription", r.note, id, text)
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	return err
}

// Append is Subscriptions'.
func (r *RedisSubscriptions) Append(ctx context.Context, id, notification string, body []byte) error {
	if err := checkAppended(notification, body); err != nil {
		return err
	}
	done, err := r.at(ctx, "append to a topic", r.appendTo, id, notification, body, TopicLength, TopicBytes)
	switch {
	case err != nil:
		return err
	case done == 0:
		return ErrInactive
	case done == -2:
		return ErrNoTopics
	}
	return nil
}
