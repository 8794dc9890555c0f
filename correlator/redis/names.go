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

// nameTries is how often what is not ours is removed from under a name in one call.
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
	ctx, cancel := context.WithTimeout(ctx, c.store.timeout) // for every attempt
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
	for seen, tries := "", 0; tries < nameTries; tries++ {
		parts, err := s.askName(ctx, step, s.bindingName(n, to, d, seen))
		if err != nil {
			return err
		}
		switch field, text := parts[0], parts[1]; field {
		case "":
			return nil
		case whoField:
			switch _, err := s.tags.parseNamed(s.nameKey(n), text, parts[2], parts[3]); {
			case err == nil:
				return correlator.ErrNameTaken
			case errors.Is(err, errPassed), errors.Is(err, errForged):
				seen = text
			default:
				return unavailable(step, err)
			}
		case finalField, unboundField:
			if !s.tags.nameMarked(markKind(field), s.nameKey(n), text) {
				err = s.expelAll(ctx, []misfit{{s.nameKey(n), field, text}})
			} else if field == unboundField {
				err = unavailable(step, errUnbound)
			} else {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	return unavailable(step, errForged) // somebody writes faster than we do
}

// takeName takes a name. What is there and is not ours is removed.
func (s *store) takeName(ctx context.Context, n correlator.Name, lease time.Duration) (correlator.Named, error) {
	const step = "take a name"
	key, turn := s.nameKey(n), newTurn()
	for range nameTries {
		parts, err := s.askName(ctx, step, s.taking(n, lease, turn))
		if err != nil {
			return correlator.Named{}, err
		}
		field, text := parts[0], parts[1]
		switch field {
		case "":
			return correlator.Named{}, correlator.ErrNameUnknown
		case nameBusy:
			return correlator.Named{}, correlator.ErrNameBusy
		case whoField:
			to, err := s.tags.parseNamed(key, text, parts[2], parts[3])
			if err == nil {
				return to, nil
			}
			if errors.Is(err, errPassed) {
				return correlator.Named{}, correlator.ErrNameUnknown
			}
		case finalField:
			if s.tags.nameMarked(kindFinal, key, text) {
				return correlator.Named{}, correlator.ErrNameFinished
			}
		}
		if err := s.expelAll(ctx, []misfit{{key, field, text}}); err != nil {
			return correlator.Named{}, err
		}
	}
	return correlator.Named{}, unavailable(step, errForged) // somebody writes faster than we do
}

// askName runs a script of names, and gives what that has returned: texts, empty at the end.
func (s *store) askName(ctx context.Context, step string, c call) (parts [4]string, err error) {
	reply, err := s.together(ctx, []call{c})[0].Slice()
	if err != nil {
		return parts, unavailable(step, err)
	}
	for i := range min(len(reply), len(parts)) {
		parts[i], _ = reply[i].(string)
	}
	return parts, nil
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

// markKind is the kind of tag of what is in a field of a name.
func markKind(field string) kind {
	if field == unboundField {
		return kindUnbound
	}
	return kindFinal
}
