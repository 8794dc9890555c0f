package redis

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"math"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
)

// What is stored under a name is a hash of its own, with one of these: "who" has it; that it is "final", finished; or "unbound", that its op must
// not have it any more. Beside "who" are its "task" and "data", a "lease" while somebody completes the op, and "opened", the last Finish that has
// ended one without a final. Leases and turns carry no tag: who forges them can have an op completed twice, of which the trip takes the first, or
// keep it from being completed, as who deletes the name can.

// nameTries is how often one Bind replaces what is not ours.
const nameTries = 3

var (
	//go:embed scripts/bindname.lua
	bindNameScript string
	//go:embed scripts/takename.lua
	takeNameScript string
	//go:embed scripts/finishname.lua
	finishNameScript string
	//go:embed scripts/unbindname.lua
	unbindNameScript string
)

// nameScripts are the scripts of names.
type nameScripts struct{ bind, take, finish, unbind *goredis.Script }

func newNameScripts() nameScripts {
	return nameScripts{
		bind: goredis.NewScript(bindNameScript), take: goredis.NewScript(takeNameScript),
		finish: goredis.NewScript(finishNameScript), unbind: goredis.NewScript(unbindNameScript),
	}
}

// The fields, and what a script says beside.
const (
	whoField     = "who"
	finalField   = "final"
	unboundField = "unbound"
	nameBusy     = "busy"
)

var _ correlator.Namer = (*Correlator)(nil)

// Bind gives an op a name for d from now on, on all nodes. ErrNameTaken, ErrUnavailable, and the errors of Named.Check. Redis has as many names as it
// has memory for: without room the error is an ErrUnavailable.
func (c *Correlator) Bind(ctx context.Context, n correlator.Name, to correlator.Named, d time.Duration) error {
	if err := to.Check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.store.timeout) // for every attempt
	defer cancel()
	return c.store.bindName(ctx, n, to, d)
}

// Take gives the op with a name, and the right to complete it. ErrNameUnknown, ErrNameFinished, ErrNameBusy, ErrUnavailable.
func (c *Correlator) Take(ctx context.Context, n correlator.Name, lease time.Duration) (correlator.Named, error) {
	ctx, cancel := context.WithTimeout(ctx, c.store.timeout)
	defer cancel()
	return c.store.takeName(ctx, n, lease)
}

// Finish ends what Take began, or says of an op that it is final. ErrUnavailable.
func (c *Correlator) Finish(ctx context.Context, n correlator.Name, id correlator.ID, op int, final bool) error {
	if !isOp(op) { // no name is that op's
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.store.timeout)
	defer cancel()
	return c.store.runName(ctx, "finish a name", c.store.finishing(n, id, op, final))
}

// Unbind forgets the name of an op. ErrUnavailable.
func (c *Correlator) Unbind(ctx context.Context, n correlator.Name, id correlator.ID, op int) error {
	if !isOp(op) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.store.timeout)
	defer cancel()
	return c.store.runName(ctx, "unbind a name", c.store.unbinding(n, id, op))
}

// bindName binds a name. What stands in its way and is not ours is replaced.
func (s *store) bindName(ctx context.Context, n correlator.Name, to correlator.Named, d time.Duration) error {
	const step = "bind a name"
	key, seen := s.nameKey(n), ""
	for range nameTries {
		said, err := s.askName(ctx, step, s.bindingName(n, to, d, seen))
		if err != nil {
			return err
		}
		switch _, err = s.tags.held(key, said); {
		case err == nil:
			return correlator.ErrNameTaken
		case errors.Is(err, correlator.ErrNameUnknown), errors.Is(err, correlator.ErrNameFinished): // nothing has kept it, or it is the op's own
			return nil
		case errors.Is(err, errUnbound):
			return unavailable(step, err)
		}
		seen = said.text
	}
	return unavailable(step, errForged) // somebody writes faster than we do
}

// takeName takes a name. What is there and is not ours counts for nothing. It is not removed: where nodes are about to get new callback keys it may be
// another one's.
func (s *store) takeName(ctx context.Context, n correlator.Name, lease time.Duration) (correlator.Named, error) {
	said, err := s.askName(ctx, "take a name", s.taking(n, lease, newTurn()))
	if err != nil {
		return correlator.Named{}, err
	}
	to, err := s.tags.held(s.nameKey(n), said)
	if errors.Is(err, errPassed) || errors.Is(err, errForged) {
		return correlator.Named{}, correlator.ErrNameUnknown
	}
	return to, err
}

// saying is what a script says of a name: a field and what it holds, with task and data beside "who"; or "busy", or nothing.
type saying struct{ field, text, task, data string }

// askName runs a script of names that says something.
func (s *store) askName(ctx context.Context, step string, c call) (saying, error) {
	reply, err := s.together(ctx, []call{c})[0].Slice()
	if err != nil {
		return saying{}, unavailable(step, err)
	}
	var parts [4]string
	for i := range min(len(reply), len(parts)) {
		parts[i], _ = reply[i].(string) // what is not there is nil
	}
	return saying{parts[0], parts[1], parts[2], parts[3]}, nil
}

// runName runs a script of names that returns nothing of interest.
func (s *store) runName(ctx context.Context, step string, c call) error {
	if err := firstError(s.together(ctx, []call{c})); err != nil {
		return unavailable(step, err)
	}
	return nil
}

func (s *store) bindingName(n correlator.Name, to correlator.Named, d time.Duration, seen string) call {
	key, lasts := s.nameKey(n), max(d.Milliseconds(), 1) // 0 would be no expiry or an error
	who := s.tags.who(key, to, time.Now().Add(max(d, time.Millisecond)))
	return call{s.names.bind, []string{key}, []any{who, to.Task, to.Data, lasts, seen}}
}

func (s *store) taking(n correlator.Name, lease time.Duration, turn string) call {
	return call{s.names.take, []string{s.nameKey(n)}, []any{max(lease.Milliseconds(), 1), turn}}
}

func (s *store) finishing(n correlator.Name, id correlator.ID, op int, final bool) call {
	key, how := s.nameKey(n), "0"
	if final {
		how = "1"
	}
	return call{s.names.finish, []string{key}, []any{s.tags.nameMark(kindFinal, key, id, op), how, newTurn()}}
}

func (s *store) unbinding(n correlator.Name, id correlator.ID, op int) call {
	key := s.nameKey(n)
	return call{s.names.unbind, []string{key}, []any{s.tags.nameMark(kindUnbound, key, id, op), undoneFor.Milliseconds()}}
}

// nameKey is the key of a name. Whatever that is, the key is as long as any other, and says nothing of it. Its braces keep all that may ever be stored
// of the name in one slot of a Cluster.
func (s *store) nameKey(n correlator.Name) string {
	sum := n.Sum()
	return s.prefix + ":{" + nameEncoding.EncodeToString(sum[:]) + "}:name"
}

// newTurn makes what tells one run of a script from all others, but for its own repeat.
func newTurn() string {
	var turn [8]byte
	_, _ = rand.Read(turn[:]) // it never fails
	return hex.EncodeToString(turn[:])
}

// isOp reports whether there can be such an op: in Redis it has two bytes.
func isOp(op int) bool { return op >= 0 && op <= math.MaxUint16 }
