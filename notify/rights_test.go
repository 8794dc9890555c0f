package notify_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/internal/redistest"
	"syncgate/notify"
)

// rights are the lines of docs/operations.md that make the user of a gateway whose routes push.
func rights(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^    ACL SETUSER syncgate (.*)$`).FindAllStringSubmatch(string(text), -1)
	if len(lines) != 2 {
		t.Fatalf("docs/operations.md has %d lines that make a user", len(lines))
	}
	return strings.Fields(lines[0][1] + " " + lines[1][1])
}

// TestRights: a user with the rights that docs/operations.md lists, and no others, can do all that notifications need.
func TestRights(t *testing.T) {
	server := redistest.StartTCP(t)
	if got := server.Do(append([]string{"ACL", "SETUSER", "syncgate"}, rights(t)...)...); got != "+OK" {
		t.Fatal(got)
	}
	o := options(server.Addr())
	o.Username, o.Password = "syncgate", "PASSWORD"
	user := goredis.NewClient(o)
	t.Cleanup(func() { _ = user.Close() })
	t.Run("notifications", func(t *testing.T) { useAll(t, notify.NewRedis(user, "syncgate", 10)) })
	t.Run("subscriptions", func(t *testing.T) {
		useSubscriptions(t, notify.NewRedisSubscriptions(user, "syncgate", sealer(), zerolog.Nop()))
	})
	t.Run("outbox", func(t *testing.T) { useOutbox(t, notify.NewRedisOutbox(user, "syncgate", 10)) })
	if denied := server.Do("ACL", "LOG"); denied != "" {
		t.Errorf("denied: %q", denied)
	}
	if err := notify.NewRedis(user, "another", 10).Put(t.Context(), notify.Record{ID: "x", Host: "h:443"}); err == nil {
		t.Error("it may write under another prefix")
	}
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// useAll uses all of a Store, so that each branch of its scripts runs that has a command of its own.
func useAll(t *testing.T, s notify.Store) {
	ctx := t.Context()
	room := notify.Room{Most: 10, Slots: 10, Lease: patience, Grace: grace}
	keep(t, s, "h-a", "h-b", "h-c", "h-d")
	jobs := claim(t, s, room, 4)
	for id, state := range map[string]notify.State{"a": notify.Delivered, "b": notify.Dead, "c": notify.Open, "d": notify.Refused} {
		j := jobs[id]
		must(t, "finish", s.Finish(ctx, notify.Verdict{ID: id, Host: j.Host, Token: j.Token, State: state, After: patience}))
	}
	for _, state := range []notify.State{notify.Open, notify.Dead} {
		entries, _, err := s.List(ctx, notify.Filter{State: state})
		must(t, "list", err)
		if len(entries) != 1 {
			t.Errorf("%s: %+v", state, entries)
		}
	}
	e, err := s.Show(ctx, "c")
	must(t, "show", err)
	if e.Due.IsZero() {
		t.Error("when the next attempt is cannot be read")
	}
	must(t, "retry", s.Retry(ctx, "b"))
	must(t, "drop", s.Drop(ctx, "b"))
	must(t, "drop", s.Drop(ctx, "d"))
	stats, err := s.Stats(ctx)
	must(t, "stats", err)
	if stats.Open != 1 || stats.Oldest == 0 {
		t.Errorf("%+v", stats)
	}
}

// useOutbox uses all of an OutboxStore.
func useOutbox(t *testing.T, s *notify.RedisOutbox) {
	ctx, node := t.Context(), correlator.NewNodeID()
	first, second := correlator.NewID(node, time.Now().Add(time.Hour)), correlator.NewID(node, time.Now().Add(time.Hour))
	for _, sent := range []bool{false, true} {
		if err := errors.Join(s.Owe(ctx, first, 0, sent), s.Owe(ctx, second, 0, sent)); err != nil {
			t.Error(err)
		}
	}
	tasks, _, err := s.Due(ctx, 10, time.Minute)
	if err != nil || len(tasks) != 2 || !tasks[0].Sent {
		t.Errorf("%v %v", tasks, err)
	}
	if err := s.Done(ctx, first); err != nil {
		t.Error(err)
	}
	if n, _, err := s.Count(ctx); err != nil || n != 1 {
		t.Errorf("%d %v", n, err)
	}
}

// useSubscriptions uses all of Subscriptions.
func useSubscriptions(t *testing.T, s notify.Subscriptions) {
	ctx := t.Context()
	const once, topic = "1b4e28ba-2fa1-41d2-883f-0016d3cca427", "2b4e28ba-2fa1-41d2-883f-0016d3cca427"
	must(t, "add", s.Add(ctx, notify.Subscription{ID: once, Owner: "o", Group: "g", Mode: notify.Once, URL: "https://r.example/", Task: "t"}, 10))
	must(t, "add", s.Add(ctx, notify.Subscription{ID: topic, Owner: "o", Group: "g", Mode: notify.Continuous}, 10))
	must(t, "note", s.Note(ctx, once, notify.Attempt{At: time.Now(), Number: 1, Outcome: notify.OutcomeDelivered}))
	must(t, "end", s.End(ctx, once, notify.Completed))
	must(t, "append", s.Append(ctx, topic, "n-1", []byte("body")))
	must(t, "append", s.Append(ctx, topic, "n-2", []byte("body")))
	if all, err := s.Match(ctx, "o", "g"); err != nil || len(all) != 1 || all[0].ID != topic {
		t.Errorf("%+v %v", all, err)
	}
	if got, err := s.Get(ctx, once); err != nil || got.State != notify.Completed || got.Last == nil {
		t.Errorf("%+v %v", got, err)
	}
}

// TestRightsAreNeeded: no right is listed for notifications that nothing uses, and each command of a script is listed.
func TestRightsAreNeeded(t *testing.T) {
	used := commandsOfScripts(t)
	used["zscore"] = true // by Go
	for command := range used {
		if !slices.Contains(rights(t), "+"+command) {
			t.Errorf("a script calls %s, which docs/operations.md does not list", command)
		}
	}
	_, more, _ := strings.Cut(strings.Join(rights(t), " "), "+llen")
	for right := range strings.FieldsSeq(more) {
		if !used[strings.TrimPrefix(right, "+")] {
			t.Errorf("%s is listed, and nothing uses it", right)
		}
	}
}

// commandsOfScripts gives what scripts call.
func commandsOfScripts(t *testing.T) map[string]bool {
	t.Helper()
	used := make(map[string]bool)
	err := fs.WalkDir(os.DirFS("scripts"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join("scripts", name))
		for _, m := range regexp.MustCompile(`call\('(\w+)'(?:, '(USAGE)')?`).FindAllStringSubmatch(string(text), -1) {
			command := strings.ToLower(m[1])
			if m[2] != "" {
				command += "|" + strings.ToLower(m[2])
			}
			used[command] = true
		}
		return err
	})
	if err != nil || len(used) < 10 {
		t.Fatalf("%d commands are used, %v", len(used), err)
	}
	return used
}
