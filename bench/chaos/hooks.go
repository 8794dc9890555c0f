package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"syncgate/internal/hooksim"
	"syncgate/internal/promises"
	"syncgate/signer"
)

const (
	// hookHosts is how many receivers there are.
	hookHosts = 10
	// delivery bounds how long notifications may take: a killed node's tasks are looked at after 30 s, and its attempts are made again after 16 s.
	delivery = time.Minute
)

// hookSecret signs notifications.
func hookSecret() string {
	return signer.WebhookPrefix + base64.StdEncoding.EncodeToString([]byte("the receivers of this run"))
}

// heard is what a receiver had of one result.
type heard struct {
	promises.Visits

	others int  // further notifications with the same result: there must be none
	sure   bool // each 2xx was heard by its sender
}

// again says that a notification was sent again. Empty: it was not.
func (h heard) again() string {
	if h.others > 0 {
		return fmt.Sprintf("its receiver had %d notifications of other ids", h.others)
	}
	if wrong := h.Repeated(h.sure); wrong != "" {
		return wrong
	}
	return h.Overlapping()
}

func (w *world) startHooks() error {
	if w.setup.hooks == nil {
		return nil
	}
	webhook, err := standardwebhooks.NewWebhook(hookSecret())
	if err != nil {
		return fmt.Errorf("read the secret of the receivers: %w", err)
	}
	w.hooks, err = hooksim.Start(hooksim.Config{
		Hosts: hookHosts, Answer: w.setup.hooks,
		Verify: func(h http.Header, body []byte) error { return webhook.Verify(body, h) },
	})
	return err
}

// hear waits until each receiver has accepted the result that it is owed, and until no gateway has anything to send. Then it keeps with each trip what its receiver
// had. What is not there in time the verdicts tell.
func (r *result) hear(ctx context.Context, w *world) error {
	if w.hooks == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, delivery)
	defer cancel()
	seen := gather(w.engine)
	for !r.allHeard(w, seen) && pause(ctx, 50*time.Millisecond) {
		continue
	}
	delivered, attempts, err := w.attempts()
	r.attempts = attempts
	all, killed := w.hooks.All(), false
	for _, n := range w.nodes {
		killed = killed || n.killed
	}
	for _, t := range r.trips {
		if of := all[t.nonce]; len(of) > 0 {
			id := of[0][0].ID
			t.heard = heard{of[0], len(of) - 1, !killed || delivered[id] >= of[0].Accepted()}
		}
	}
	return err
}

func (r *result) allHeard(w *world, seen evidence) bool {
	all := w.hooks.All()
	for _, t := range r.trips {
		if seen.owes(t) && (len(all[t.nonce]) == 0 || all[t.nonce][0].Accepted() == 0) {
			return false
		}
	}
	for _, n := range w.nodes {
		if n.here() && n.gauge("syncgate_notify_open") != 0 {
			return false
		}
	}
	return true
}

// attempts gives from the gateways' logs how often each notification was delivered, by id, and how many attempts had each outcome.
func (w *world) attempts() (delivered, outcomes map[string]int, err error) {
	delivered, outcomes = make(map[string]int), make(map[string]int)
	logs, err := filepath.Glob(filepath.Join(w.dir, "syncgate-*.log"))
	for _, name := range logs {
		text, failed := os.ReadFile(name) //nolint:gosec // a log that this run wrote
		err = errors.Join(err, failed)
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			var said struct{ Message, Outcome, ID string }
			if json.Unmarshal(lines.Bytes(), &said) != nil || said.Message != "notification" {
				continue
			}
			outcomes[said.Outcome]++
			if said.Outcome == "delivered" {
				delivered[said.ID]++
			}
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the logs: %w", err)
	}
	return delivered, outcomes, nil
}

// replicated is a line of INFO replication. Empty: the server does not say.
func (s *server) replicated(name string) string {
	info, err := s.do("INFO", "replication")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(info, name)
	at, _, _ := strings.Cut(rest, "\r")
	return at
}
