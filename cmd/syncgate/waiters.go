package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"text/tabwriter"
	"time"

	"syncgate/configs"
	"syncgate/correlator"
	"syncgate/correlator/redis"
	"syncgate/dialect/waiter"
)

// openWaiters makes the waiters.
func (n *node) openWaiters() (err error) {
	names, ok := n.table.(correlator.Namer)
	if !ok {
		return errors.New("make the waiters: the correlator has no names")
	}
	o := waiter.Options{Names: names, Log: n.log, Metrics: n.metrics}
	if n.config.Correlator.Backend == configs.Redis {
		o.Hashes = rememberedHashes{n.config.Redis()}
	}
	if n.waiters, err = waiter.New(n.config.Waiters, o); err != nil {
		return fmt.Errorf("make the waiters: %w", err)
	}
	return nil
}

// setWaiters replaces the waiters.
func (n *node) setWaiters(next *configs.Config) error {
	if err := n.waiters.Set(next.Waiters); err != nil {
		return err
	}
	n.connectWaiters(next)
	n.announceWaiters(next)
	return nil
}

// connectWaiters has ops of clients completed by waiters. Without any waiter no op is looked at.
func (n *node) connectWaiters(c *configs.Config) {
	n.waiters.Connect(n.gateway)
	if len(c.Waiters) == 0 {
		n.dialect.SetWaiters(nil, nil)
		return
	}
	n.dialect.SetWaiters(n.waiters, n.gateway)
}

// announceWaiters says what waiters there are, and where they are called. Who knows a hash can complete, so the log does not have it.
func (n *node) announceWaiters(c *configs.Config) {
	for i := range c.Waiters {
		w := &c.Waiters[i]
		line := n.log.Info().Str("waiter", w.Name).Str("process", w.ConvID).Str("key", w.Key)
		if url := w.MaskedURL(c.Callback.BaseURL); url != "" {
			line.Str("url", url)
		}
		line.Msg("waiting for callbacks by name")
	}
}

// closeWaiters ends the waiters, once nobody can call them any more.
func (n *node) closeWaiters() {
	ctx, cancel := context.WithTimeout(context.Background(), stopPushing)
	defer cancel()
	n.complain("stop waiting for callbacks by name", n.waiters.Close(ctx))
}

// hashesExchange bounds one exchange with Redis about hashes.
const hashesExchange = 2 * time.Second

// rememberedHashes keeps the digests of hashes in a hash of Redis. Each digest is a field. The value of a hash that is in use is empty. The value of a
// removed one is a time in Unix milliseconds: until then its senders hear 202. Each call opens its connections and closes them.
type rememberedHashes struct{ redis redis.Config }

// Remember implements waiter.Hashes.
func (h rememberedHashes) Remember(ctx context.Context, used []waiter.Digest, d time.Duration) (removed map[waiter.Digest]time.Time, err error) {
	client, err := h.redis.NewClient(hashesExchange)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	key := h.redis.Prefix + ":waiters:hashes"
	known, err := client.HGetAll(ctx, key).Result()
	if err != nil {
		return nil, fmt.Errorf("read the hashes of waiters: %w", err)
	}
	changes := compareHashes(known, used, time.Now(), d)
	if len(changes.set) > 0 {
		err = client.HSet(ctx, key, changes.set).Err()
	}
	if err == nil && len(changes.forget) > 0 {
		err = client.HDel(ctx, key, changes.forget...).Err()
	}
	if err != nil {
		return changes.removed, fmt.Errorf("write the hashes of waiters: %w", err)
	}
	return changes.removed, nil
}

// hashChanges are what is to be stored of hashes, and what is known of those that were removed.
type hashChanges struct {
	set     map[string]string
	forget  []string
	removed map[waiter.Digest]time.Time
}

// compareHashes finds out which of the known hashes are not used any more. They are known for d.
func compareHashes(known map[string]string, used []waiter.Digest, now time.Time, d time.Duration) hashChanges {
	c := hashChanges{make(map[string]string), nil, make(map[waiter.Digest]time.Time)}
	for _, digest := range used {
		field := hex.EncodeToString(digest[:])
		if value, there := known[field]; !there || value != "" {
			c.set[field] = ""
		}
		delete(known, field)
	}
	for field, value := range known {
		until := now.Add(d)
		if value != "" {
			ms, _ := strconv.ParseInt(value, 10, 64) // what is no number is over
			until = time.UnixMilli(ms)
		}
		digest, err := hex.DecodeString(field)
		switch {
		case err != nil || len(digest) != len(waiter.Digest{}) || !now.Before(until):
			c.forget = append(c.forget, field)
			continue
		case value == "":
			c.set[field] = strconv.FormatInt(until.UnixMilli(), 10)
		}
		c.removed[waiter.Digest(digest)] = until
	}
	return c
}

const waitersHelp = `Prints the waiters of the configuration: the name, the process, what names its tasks, what verifies those who call, and the URL, whole: who knows it
can complete a task. Nobody is asked.

With --live or --admin it prints the waiters that a running gateway has. Its admin listener gives their URLs without what completes a task.
`

func waiters(p *program, fs *flag.FlagSet, args []string) error {
	path, admin := configFlag(fs), adminFlag(fs)
	live := fs.Bool("live", false, "print those of the running gateway at listen.admin of the configuration")
	if err := parseConfigFlags(fs, args); err != nil {
		return err
	}
	if *live || *admin != "" {
		address, err := p.adminAddress(*admin, *path)
		if err != nil {
			return err
		}
		return printLiveWaiters(p.out, address)
	}
	c, _, err := p.config(*path)
	if err != nil {
		return err
	}
	printWaiters(p.out, c)
	return nil
}

// printLiveWaiters prints those of a running gateway.
func printLiveWaiters(w io.Writer, address string) error {
	all, _, err := answerOf(http.MethodGet, address, waitersPath, "what waiters it has", func(all *shownWaiters) bool { return all.Waiters != nil })
	if err != nil {
		return err
	}
	if len(all.Waiters) == 0 {
		fmt.Fprintln(w, "This gateway has no waiters.")
		return nil
	}
	t := tabwriter.NewWriter(escaping{w}, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tPROCESS\tKEY\tURL")
	for _, one := range all.Waiters {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", cell(one.Name), cell(one.Process), cell(one.Key), cmp.Or(one.URL, noHashes))
	}
	_ = t.Flush() // as below
	return nil
}

// noHashes stands in the place of the URL of a waiter that has none.
const noHashes = "none: it has no hashes"

func printWaiters(w io.Writer, c *configs.Config) {
	if len(c.Waiters) == 0 {
		fmt.Fprintln(w, "There are no waiters: the section waiters of the configuration is empty.")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tPROCESS\tKEY\tENGINE\tVERIFIES\tURL")
	for i := range c.Waiters {
		one := &c.Waiters[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", one.Name, one.ConvID, one.Key, one.Engine, one.Verifies(), cmp.Or(one.URL(c.Callback.BaseURL), noHashes))
	}
	_ = t.Flush() // to the process's own output, as everything else
}
