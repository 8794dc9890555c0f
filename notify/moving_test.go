package notify_test

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/internal/redistest"
	"syncgate/notify"
)

// halfway begins to move the slot of a key to another server of a Cluster, and moves that key alone. finish moves the rest.
func halfway(t *testing.T, masters redistest.Masters, key string) (finish func()) {
	t.Helper()
	number := masters.Slot(key)
	owner := masters.Owner(number)
	to := (owner + 1) % len(masters)
	slot, from, target := strconv.Itoa(number), masters[owner], masters[to]
	host, port, err := net.SplitHostPort(target.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{
		target.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", from.Do("CLUSTER", "MYID")),
		from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", target.Do("CLUSTER", "MYID")),
		from.Do("MIGRATE", host, port, key, "0", "5000"),
	} {
		if reply != "+OK" {
			t.Fatal(reply)
		}
	}
	return func() { masters.Move(number, to) }
}

// TestSubscriptionsOfASlotThatMoves has the ids of a group be at one server of a Cluster and the subscriptions still at another one: none is taken for gone.
func TestSubscriptionsOfASlotThatMoves(t *testing.T) {
	t.Parallel()
	masters := redistest.StartMasters(t, 3)
	open := func() notify.Subscriptions {
		return notify.NewRedisSubscriptions(clusterClient(t, masters), "subs", sealer(), zerolog.Nop())
	}
	for i := 0; ; i++ { // an owner of the first shard
		store := open()
		s := add(t, store, subscribed("shop"+strconv.Itoa(i), "orders"))
		key := fmt.Sprintf("subs:subscriptions:1:{subscriptions-0}:group:%d:%sorders", len(s.Owner), s.Owner)
		if masters[masters.Owner(masters.Slot(key))].Do("EXISTS", key) == ":0" {
			continue
		}
		finish := halfway(t, masters, key)
		all, err := store.Match(t.Context(), s.Owner, "orders")
		failsWith(t, notify.ErrUnavailable, err)
		if len(all) > 0 {
			t.Errorf("%d match", len(all))
		}
		finish()
		eventually(t, "it is found again", func() bool {
			all, err := open().Match(t.Context(), s.Owner, "orders")
			return err == nil && len(all) == 1
		})
		return
	}
}

// TestOutboxOfASlotThatMoves has the tasks be at one server of a Cluster and what says that they are sent still at another one: that is not forgotten.
func TestOutboxOfASlotThatMoves(t *testing.T) {
	t.Parallel()
	masters := redistest.StartMasters(t, 3)
	store := notify.NewRedisOutbox(clusterClient(t, masters), "o", 1000)
	for range 40 { // some in each shard
		owe(t, store, newTask(), 0, true)
	}
	finish := halfway(t, masters, "o:outbox:1:{outbox-0}:due")
	tasks, _, err := store.Due(t.Context(), 100, time.Hour)
	failsWith(t, correlator.ErrUnavailable, err)
	if len(tasks) < 10 {
		t.Errorf("the other shards give %d", len(tasks))
	}
	finish()
	eventually(t, "all are there", func() bool {
		more, _, err := store.Due(t.Context(), 100, time.Hour)
		tasks = append(tasks, more...)
		return err == nil && len(tasks) == 40
	})
	for _, task := range tasks {
		if !task.Sent {
			t.Error("one that is sent is taken for one that is not")
		}
	}
}
