package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

const (
	quotedWord = "hunter2Zq9" // begins what must not be quoted
	quotedKey  = quotedWord + "-key"
	quotedBody = `"` + quotedWord + `-result"`
)

// TestErrorsQuoteNothing has a server quote the arguments of every command, in all the ways in which an error can, and wants nothing of
// them in what the Correlator says: no id of a trip, which a token and a task id are made of, no key of a client, no result, no password.
func TestErrorsQuoteNothing(t *testing.T) {
	all := func(command []string) string { return strings.Join(command, " ") }
	for name, answer := range map[string]func([]string) string{
		"an error":                    func(c []string) string { return "-ERR unknown command, with args beginning with: " + all(c) },
		"an error of a script":        func(c []string) string { return "-ERR Error running script: user_script:1: " + all(c) },
		"an error without a code":     func(c []string) string { return "-" + all(c) },
		"an unknown code":             func(c []string) string { return "-" + strings.Join(c[1:], "_") + " x" },
		"a type that there is not":    func(c []string) string { return "?" + all(c) },
		"a number that is none":       func(c []string) string { return ":" + all(c) },
		"a length that is none":       func(c []string) string { return "$" + all(c) },
		"a list whose length is none": func(c []string) string { return "*" + all(c) },
		"a wrong type":                func(c []string) string { return "+" + all(c) },
		"a moved slot":                func(c []string) string { return "-MOVED 1 " + strings.Join(c[1:], "_") + ":1" },
		"the end":                     func([]string) string { return "" },
		"a wrong password":            func(c []string) string { return "-WRONGPASS invalid password: " + all(c) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := redistest.StartQuoting(t, func(command []string) string {
				return strings.NewReplacer("\r", "", "\n", "").Replace(answer(command)) // one line
			})
			errs, ids := everyError(t, "redis://user:"+quotedWord+"@"+q.Addr())
			for _, err := range errs {
				quotesNothing(t, err, append(ids, quotedWord, "user_script", "EVAL", "evalsha")...)
			}
			if len(errs) < 6 {
				t.Errorf("only these have failed: %v", errs)
			}
		})
	}
}

// everyError has a Correlator do all that it can, and gives the errors, and the trips that were spoken of.
func everyError(t *testing.T, url string) (errs []error, ids []string) {
	t.Helper()
	said := make(chan error, 1000)
	c, err := redis.New(config(url), nodeKeys(t), redis.Options{Changed: func(err error) { said <- err }})
	if err != nil {
		t.Fatal(err)
	}
	hear := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	elsewhere := correlator.NewTable(0)
	defer elsewhere.Shutdown()
	id, there := c.NewID(soon()), elsewhere.NewID(soon())
	key := correlator.Key{Login: "12345", Name: quotedKey}
	record := correlator.Record{Meta: []byte(quotedBody), Finals: make([]correlator.Callback, 1)}
	ctx := t.Context()
	_, err = c.Claim(ctx, key, [32]byte{}, id, record)
	hear(err)
	if err := c.Park(id, correlatortest.Once(correlator.Held), soon()); err != nil {
		t.Fatal(err)
	}
	hear(c.Deliver(ctx, id, correlatortest.Final(0, quotedBody)))
	err = c.Deliver(ctx, there, correlatortest.Final(0, quotedBody))
	if !errors.Is(err, correlator.ErrUnavailable) {
		t.Errorf("deliver to another node: %v", err)
	}
	hear(err)
	hear(c.Save(ctx, id, record))
	_, err = c.Lookup(ctx, id)
	hear(err)
	_, err = c.Attach(ctx, there, correlatortest.Once(correlator.Written), soon())
	hear(err)
	hear(c.Release(ctx, key, id))
	hear(c.Ready())
	c.Close(id)
	wait, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	hear(c.Shutdown(wait))
	close(said)
	for err := range said {
		hear(err)
	}
	return errs, []string{id.String(), there.String()}
}

// quotesNothing wants no part of the texts in an error.
func quotesNothing(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if part := text[:min(len(text), 7)]; strings.Contains(err.Error(), part) {
			t.Errorf("%q is in: %v", part, err)
		}
	}
}
