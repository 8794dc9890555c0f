package redis

import (
	"context"
	"maps"
	"sync"
	"time"

	"syncgate/correlator"
)

const (
	// undoQueue is how many claims wait to be undone at most. A key beyond stays bound until the expiry of the id.
	undoQueue = 1 << 12
	// undoRounds is how often a claim is undone: when Redis was away, the claim itself may be what it reads next.
	undoRounds = 2
	// bindRetry is between two attempts while Redis is away, and between the rounds.
	bindRetry = time.Second
	// finishFor is how long a node that ends goes on undoing while Redis is away, finishRetry between two attempts.
	finishFor   = 5 * time.Second
	finishRetry = 100 * time.Millisecond
	// restoreBatch is how many claims go into one command.
	restoreBatch = 64
)

// binder sees to it that keys are bound as this node knows it: claims of which it is not known whether they happened are
// undone, and those of trips in flight are made again when Redis may have lost them.
type binder struct {
	store  *store
	ledger *ledger
	kicks  chan struct{}

	mu      sync.Mutex // guards the rest
	undoing map[correlator.ID]undoing
	restore bool // Redis may have lost something
}

type undoing struct {
	key    string
	rounds int // done
}

func newBinder(s *store, l *ledger) *binder {
	return &binder{store: s, ledger: l, kicks: make(chan struct{}, 1), undoing: make(map[correlator.ID]undoing)}
}

// undo has a claim undone that may have happened.
func (b *binder) undo(id correlator.ID, key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.undoing) < undoQueue {
		b.undoing[id] = undoing{key: key}
		kick(b.kicks)
	}
}

// undoes reports whether the claim of id is being undone: it counts for nothing.
func (b *binder) undoes(id correlator.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, waits := b.undoing[id]
	return waits
}

// lost says that Redis may have lost something.
func (b *binder) lost() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.restore = true
	kick(b.kicks)
}

// run restores and undoes until ctx ends.
func (b *binder) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.kicks:
		}
		for !b.settle(ctx) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(bindRetry):
			}
		}
	}
}

// settle does one round, and reports whether nothing is left to do.
func (b *binder) settle(ctx context.Context) bool {
	b.mu.Lock()
	restore := b.restore
	b.restore = false
	b.mu.Unlock()
	if restore && b.restoreAll(ctx) != nil {
		b.lost()
		return false
	}
	return b.undoAll(ctx) == nil && !b.waits()
}

func (b *binder) restoreAll(ctx context.Context) error {
	claims := b.ledger.claims()
	for len(claims) > 0 {
		batch := claims[:min(len(claims), restoreBatch)]
		err := b.store.restore(ctx, batch)
		for _, f := range batch {
			if b.ledger.isReleased(f.claim) { // meanwhile, and bound again now
				b.undo(f.claim.id(), f.claim.key)
			}
		}
		if err != nil {
			return err
		}
		claims = claims[len(batch):]
	}
	return nil
}

// undoAll does one round of undoing.
func (b *binder) undoAll(ctx context.Context) error {
	for id, u := range b.undos() {
		if err := b.store.undo(ctx, u.key, id); err != nil {
			return err
		}
		b.undone(id)
	}
	return nil
}

// finish undoes what is left, also when Redis is away for a while: nobody else knows of it, and a key whose claim is not
// undone stays bound to a trip that nobody makes.
func (b *binder) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, finishFor)
	defer cancel()
	for {
		err := b.undoAll(ctx)
		if len(b.undos()) == 0 {
			return nil
		}
		select {
		case <-time.After(finishRetry):
		case <-ctx.Done():
			return err
		}
	}
}

func (b *binder) undos() map[correlator.ID]undoing {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.undoing)
}

func (b *binder) undone(id correlator.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.undoing[id]
	if u.rounds++; u.rounds == undoRounds {
		delete(b.undoing, id)
		return
	}
	b.undoing[id] = u
}

func (b *binder) waits() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.undoing) > 0 || b.restore
}
