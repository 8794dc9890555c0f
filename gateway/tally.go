package gateway

import (
	"context"
	"sync/atomic"
	"time"
)

// tally counts what is under way and may begin at any moment, also while its end is waited for: a WaitGroup's may not.
type tally struct{ n atomic.Int64 }

func (t *tally) add() { t.n.Add(1) }

func (t *tally) done() { t.n.Add(-1) }

// wait returns when nothing is under way, or when ctx ends.
func (t *tally) wait(ctx context.Context) {
	for t.n.Load() > 0 && ctx.Err() == nil {
		<-time.After(time.Millisecond)
	}
}
