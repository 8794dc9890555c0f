package notify_test

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"syncgate/internal/redistest"
	"syncgate/notify"
)

// opens wants any, or none, of some notifications to be open, as a Sender says.
func opens(t testing.TB, s *notify.Sender, want bool, ids ...string) {
	t.Helper()
	if open, err := s.Open(t.Context(), ids...); open != want || err != nil {
		t.Errorf("%v: %v, %v", ids, open, err)
	}
}

// TestOpen has a Sender say whether any of some notifications is open, in whatever state they are.
func TestOpen(t *testing.T) {
	masters := redistest.StartMasters(t, 3)
	all := stores(t)
	all["cluster"] = func(t *testing.T, most int) func() notify.Store {
		return func() notify.Store { return notify.NewRedis(clusterClient(t, masters), "open", most) }
	}
	for name, start := range all {
		t.Run(name, func(t *testing.T) {
			store := start(t, 1000)()
			s := sender(t, idleStore{store}, quick())
			var hosts []string
			for _, id := range []string{"waits", "runs", "delivered", "dead", "gone", "again"} {
				hosts = append(hosts, "h"+id+"-"+id)
			}
			keep(t, store, hosts...)
			jobs := claim(t, store, notify.Room{Most: 100, Slots: 9, Lease: time.Minute, Grace: time.Minute}, len(hosts))
			finish(t, store, jobs["waits"], notify.Open)
			finish(t, store, jobs["delivered"], notify.Delivered)
			finish(t, store, jobs["dead"], notify.Dead)
			finish(t, store, jobs["gone"], notify.Gone)
			finish(t, store, jobs["again"], notify.Refused)
			opens(t, s, false)
			opens(t, s, false, "delivered", "dead", "unknown", "gone", "again")
			opens(t, s, true, "unknown", "waits")
			opens(t, s, true, "runs", "dead")
			good(t, s.Retry(t.Context(), "again"))
			opens(t, s, true, "delivered", "dead", "unknown", "gone", "again")
			many := make([]string, 2500)
			for i := range many {
				many[i] = "n" + strconv.Itoa(i)
			}
			opens(t, s, false, many...)
			opens(t, s, true, append(many, "runs")...)
		})
	}
}

// TestOpenAsksOnce has a hundred ids cost one question to Redis, and a Redis that is away be an error.
func TestOpenAsksOnce(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "no")
	s := sender(t, idleStore{redisStore(t, server)}, quick())
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprint("n", i)
	}
	opens(t, s, false, ids...)
	before := evals(server)
	opens(t, s, false, ids...)
	if n := evals(server) - before; n != 1 {
		t.Errorf("%d scripts", n)
	}
	server.Kill()
	if _, err := s.Open(t.Context(), "n"); !errors.Is(err, notify.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// sized keeps a notification with a body of a size.
func sized(t testing.TB, store notify.Store, id, host string, size int) {
	t.Helper()
	good(t, store.Put(t.Context(), notify.Record{ID: id, URL: "https://h", Host: host, Body: make([]byte, size), Sealed: []byte("s")}))
}

// TestClaimsHaveBoundedBytes has a claim of large bodies give as many as may be, the next one the rest, and one that is larger alone.
func TestClaimsHaveBoundedBytes(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		store := open()
		for i := range 6 {
			sized(t, store, strconv.Itoa(i), "h"+strconv.Itoa(i%2), 400)
		}
		sized(t, store, "large", "large", 5000)
		room := notify.Room{Most: 10, Bytes: 1000, Slots: 10, Lease: time.Minute, Grace: time.Minute}
		seen := make(map[string]notify.Job)
		for range 4 {
			jobs := claim(t, store, room, -1)
			if _, large := jobs["large"]; len(jobs) != 2 && (!large || len(jobs) != 1) { // two have 800 bytes
				t.Errorf("%d are claimed", len(jobs))
			}
			maps.Copy(seen, jobs)
		}
		claim(t, store, room, 0)
		if len(seen) != 7 {
			t.Errorf("%d were claimed", len(seen))
		}
		for i := range 12 {
			sized(t, store, "small"+strconv.Itoa(i), "h", 0)
		}
		claim(t, store, room, 10)
	})
}

// TestNothingIsForgottenInVain has a store in memory refuse a body that it has no room for, whatever it forgets: and so it forgets nothing.
func TestNothingIsForgottenInVain(t *testing.T) {
	m := notify.NewMemory(10, 1000)
	room := notify.Room{Most: 100, Slots: 100, Lease: time.Minute, Grace: time.Minute}
	body := func(id string, size int) notify.Record {
		return notify.Record{ID: id, Host: "h", Body: make([]byte, size)}
	}
	good(t, m.Put(t.Context(), body("open", 300)), m.Put(t.Context(), body("dead", 300)))
	jobs := claim(t, m, room, 2)
	finish(t, m, jobs["dead"], notify.Dead)
	failsWith(t, notify.ErrFull, m.Put(t.Context(), body("large", 701)))
	are(t, m, map[string]notify.State{"open": notify.Open, "dead": notify.Dead})
	good(t, m.Put(t.Context(), body("fits", 700)))
	_, err := m.Show(t.Context(), "dead")
	failsWith(t, notify.ErrUnknown, err)
	finish(t, m, jobs["open"], notify.Dead)
	good(t, m.Retry(t.Context(), "open")) // it counts again
	failsWith(t, notify.ErrFull, m.Put(t.Context(), body("more", 1)))
	good(t, m.Drop(t.Context(), "fits"), m.Put(t.Context(), body("more", 700)))
}

// TestNamesOfTheEndedGo has what ended forget the names of those that have expired, without anybody asking for figures.
func TestNamesOfTheEndedGo(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "no")
	store := redisStore(t, server)
	const key = "faults:notify:1:{notify-0}:state:dead"
	server.Do("ZADD", key, "1000", "old")
	keep(t, store, "h-a")
	finish(t, store, claim(t, store, notify.Room{Most: 1, Slots: 1, Lease: time.Minute}, 1)["a"], notify.Dead)
	if names := server.Do("ZRANGE", key, "0", "-1"); names != "a" {
		t.Errorf("the names are %q", names)
	}
}
