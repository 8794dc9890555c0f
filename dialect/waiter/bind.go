package waiter

import (
	"context"
	"errors"
	"time"

	"syncgate/correlator"
)

const (
	// freeTime is how long a name is tried that another op has, and freePause the time between two tries.
	freeTime  = 200 * time.Millisecond
	freePause = 20 * time.Millisecond
)

// bind gives an op a name. Another op that has just ended may still have it: a client that knows the end can be faster than what its node says to the
// store. Where ctx has no deadline there is no store, and nothing is waited for.
func (t *Table) bind(ctx context.Context, l life, to correlator.Named) error {
	_, patient := ctx.Deadline()
	for began := time.Now(); ; {
		err := t.names.Bind(ctx, l.name, to, l.timer)
		if !patient || !errors.Is(err, correlator.ErrNameTaken) || time.Since(began) > freeTime {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(freePause):
		}
	}
}
