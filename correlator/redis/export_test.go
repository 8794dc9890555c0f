package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
)

// Tries is how a Config has commands sent.
func (c Config) Tries() (*goredis.UniversalOptions, error) { return c.options() }

// Die ends c as the end of its process would: nothing is cleaned up, and nobody is told.
func (c *Correlator) Die() {
	c.cancel()
	c.link.close()
	c.running.Wait()
	c.Table.Shutdown()
	_ = c.store.client.Close()
	c.batcher.close()
}

// Watched is for how many trips somebody waits here.
func (c *Correlator) Watched() int {
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	return len(c.watch.trips)
}

// Undoing is how many claims wait to be undone.
func (c *Correlator) Undoing() int {
	c.binder.mu.Lock()
	defer c.binder.mu.Unlock()
	return len(c.binder.undoing)
}

// Accounts is of how many trips something is known here beside that they are parked.
func (c *Correlator) Accounts() (n int) {
	for i := range c.ledger.shards {
		s := &c.ledger.shards[i]
		s.mu.Lock()
		n += len(s.trips)
		s.mu.Unlock()
	}
	return n
}

// Waiting is how many callbacks wait to be taken to Redis.
func (c *Correlator) Waiting() int { return c.batcher.length() }

// ReadInbox reads the inbox now.
func (c *Correlator) ReadInbox(ctx context.Context) error { return c.collector.readInbox(ctx) }

// Forged is how many things without a good tag were read.
func (c *Correlator) Forged() (n uint64) {
	for i := range c.store.tags.forged {
		n += c.store.tags.forged[i].Load()
	}
	return n
}

// Names are the keys and the channel that are of one trip, and of one key of a client.
func (c *Correlator) Names(id correlator.ID, k correlator.Key) (names struct{ Inbox, Alive, Channel, Trip, Watch, Left, Key, Entry string }) {
	s := c.store
	names.Inbox, names.Alive, names.Channel = s.inbox(id.Home()), s.alive(id.Home()), s.channel(id.Home())
	names.Trip, names.Watch, names.Left, names.Key = s.trip(id), s.watchers(id), s.left(id), keyName(s.prefix, k)
	names.Entry = nameOf(id)
	return names
}

// NameKey is the key of a name of ops.
func (c *Correlator) NameKey(n correlator.Name) string { return c.store.nameKey(n) }

// Probes is how many probes were begun.
func (c *Correlator) Probes() uint64 {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.link.sent
}

// WarnsOfVersion reports whether a server that says it has this version is warned of.
func WarnsOfVersion(version string) bool {
	v := &view{info: parseInfo("# Server\r\nredis_version:" + version + "\r\n")}
	v.kind()
	return len(v.warnings) > 0
}
