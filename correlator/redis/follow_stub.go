package redis

import (
	"context"
	"time"

	"syncgate/correlator"
)

// Follow is not built yet.
func (c *Correlator) Follow(ctx context.Context, id correlator.ID, r correlator.Receiver, _ uint32, deadline time.Time) (func(), error) {
	return c.Attach(ctx, id, r, deadline)
}
