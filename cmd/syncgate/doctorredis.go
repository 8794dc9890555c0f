package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// slowRedis is the median of round trips from which on Redis is slow: a trip with an Idempotency-Key has several.
	slowRedis = 5 * time.Millisecond
	// fullRedis is how much of maxmemory may be in use, in percent.
	fullRedis = 80
)

// examineRedis looks at Redis, if there is one.
func (d *checkup) examineRedis(ctx context.Context) {
	if !d.wants("redis") && !d.only["clock"] {
		return
	}
	r := d.findings
	if !d.wants("redis") { // the clock alone is wanted
		r = newFindings(func(finding) {})
	}
	if !r.redis(d.c) {
		return
	}
	client, err := d.c.Redis().NewClient(onlineTimeout)
	if err != nil {
		return // it has just been made
	}
	defer func() { _ = client.Close() }() // nothing is under way
	ctx, cancel := context.WithTimeout(ctx, 2*onlineTimeout)
	defer cancel()
	d.redisServer(ctx, r, client)
	d.redisSpeed(ctx, r, client)
	d.redisTime(ctx, client)
	if d.c.Pushes() {
		d.redisRights(ctx, r, client)
	}
}

// redisServer says what the server is, and how full.
func (d *checkup) redisServer(ctx context.Context, r *findings, client goredis.UniversalClient) {
	const key = "correlator.redis"
	text, err := client.Info(ctx).Result()
	if err != nil {
		return // that it cannot be seen is a warning already
	}
	has := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			has[name] = value
		}
	}
	used, _ := strconv.ParseFloat(has["used_memory"], 64)
	most, _ := strconv.ParseFloat(has["maxmemory"], 64)
	if most > 0 && used*100/most > fullRedis {
		r.add(isProblem, key, "raise maxmemory, or lower results.retention: a full Redis refuses results", "%d %% of maxmemory is in use", int(used*100/most))
	}
	r.ok(key, "is version %s, mode %s, role %s", printable(has["redis_version"]), printable(has["redis_mode"]), printable(has["role"]))
}

// printable gives a word that a server has said, if it is one.
func printable(word string) string {
	odd := func(c rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.-_", c) }
	if word == "" || len(word) > 40 || strings.ContainsFunc(word, odd) {
		return "unknown"
	}
	return word
}

// redisSpeed measures round trips. It reads a key that is not there: PING needs a right that a gateway does not.
func (d *checkup) redisSpeed(ctx context.Context, r *findings, client goredis.UniversalClient) {
	const key, trips = "correlator.redis.url", 20
	name := d.c.Redis().Prefix + ":doctor"
	var took []time.Duration
	for range trips {
		began := time.Now()
		if err := client.Get(ctx, name).Err(); err != nil && !errors.Is(err, goredis.Nil) {
			return // Examine has used the same right a moment ago
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	median, worst := took[trips/2], took[trips-1]
	if median > slowRedis {
		r.add(isWarning, key, "put Redis near the gateways: a trip with an Idempotency-Key asks it several times",
			"a round trip takes %v, the slowest of %d %v", rounded(median), trips, rounded(worst))
		return
	}
	r.ok(key, "a round trip takes %v, the slowest of %d %v", median.Round(time.Microsecond), trips, worst.Round(time.Microsecond))
}

// redisTime notes the clock of Redis. The user may have no right to ask.
func (d *checkup) redisTime(ctx context.Context, client goredis.UniversalClient) {
	began := time.Now()
	if at, err := client.Time(ctx).Result(); err == nil {
		d.redisT = &clockReading{at, at, began, time.Now()}
	}
}

// pushCommands gives the commands that notifications need beyond those of trips. They change nothing but four keys of their own, and delete these at the
// end. The last command is among those of trips: doctor leaves nothing behind where a user lacks any of the others.
func pushCommands(key string) [][]any {
	hash, set, sorted, stream := key+":hash", key+":set", key+":sorted", key+":stream"
	return [][]any{
		{"time"},
		{"hincrby", hash, "a", 1},
		{"hstrlen", hash, "a"},
		{"persist", hash},
		{"memory", "usage", hash},
		{"zadd", sorted, 1, "a"},
		{"zrange", sorted, 0, 0},
		{"zrangebyscore", sorted, 0, 0},
		{"zrevrange", sorted, 0, 0},
		{"zcard", sorted},
		{"zscore", sorted, "a"},
		{"zrem", sorted, "b"},
		{"zremrangebyscore", sorted, 5, 6},
		{"zremrangebyrank", sorted, 5, 6},
		{"scard", set},
		{"sismember", set, "a"},
		{"srandmember", set},
		{"srem", set, "a"},
		{"xadd", stream, "*", "a", "b"},
		{"xlen", stream},
		{"xtrim", stream, "MAXLEN", 0},
		{"unlink", hash, set, sorted, stream},
	}
}

// redisRights tries every command that notifications need. A user of Redis that lacks the right to one command would leave notifications unsent.
func (d *checkup) redisRights(ctx context.Context, r *findings, client goredis.UniversalClient) {
	const key = "correlator.redis"
	var missing []string
	commands := pushCommands(d.c.Redis().Prefix + ":{doctor:" + rand.Text() + "}")
	for _, command := range commands {
		err := client.Do(ctx, command...).Err()
		switch {
		case err == nil, errors.Is(err, goredis.Nil):
		case strings.HasPrefix(err.Error(), "NOPERM"):
			name := fmt.Sprint(command[0])
			if name == "memory" {
				name = "memory|usage"
			}
			missing = append(missing, "+"+name)
		default:
			why := unanswered(err)
			if said, ok := errors.AsType[goredis.Error](err); ok {
				why = said
			}
			r.add(isWarning, key, "see that Redis takes the command, and run doctor again", "Redis has not said whether the user may use %s, which notifications need: %v", command[0], why)
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), onlineTimeout)
			defer cancel()
			_ = client.Do(last, commands[len(commands)-1]...).Err() // the first error is the one to report
			return
		}
	}
	if len(missing) > 0 {
		user := cmp.Or(d.c.Correlator.Redis.Username, "USER")
		r.add(isProblem, key, "ACL SETUSER "+user+" "+strings.Join(missing, " "), "routes push results, and the user of Redis may not use %s that they need",
			count(len(missing), "command"))
		return
	}
	r.ok(key, "the user may use every command that notifications need")
}
