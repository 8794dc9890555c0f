package correlator

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

var (
	// ErrNameTaken refuses a Bind: another op that is open has the name.
	ErrNameTaken = errors.New("correlator: name is taken")
	// ErrNameUnknown refuses a Take: no op has the name, or none has it any more.
	ErrNameUnknown = errors.New("correlator: name is not known")
	// ErrNameFinished refuses a Take: the op that had the name is final.
	ErrNameFinished = errors.New("correlator: the op with this name is final")
	// ErrNameBusy refuses a Take: somebody else completes the op just now.
	ErrNameBusy = errors.New("correlator: the op with this name is being completed")
	// ErrTooManyNames refuses a Bind: the table holds as many names as it may. It is an ErrUnavailable.
	ErrTooManyNames = fmt.Errorf("%w: no room for one more name", ErrUnavailable)
)

const (
	// MaxNameData bounds Named.Data, in bytes.
	MaxNameData = 1 << 20
	// MaxNameTask bounds Named.Task, in bytes.
	MaxNameTask = 64 << 10
)

// Name is what an op is known by beside its token.
type Name struct {
	Process string // names of different processes have nothing in common
	Key     string // what the name is: a ref, an engine's id of the task, or a member of the task's data
	Text    string // decoded; two names are the same if all their bytes are
}

// Sum is a digest of the name. No two names have the same, and it is as long for a long name as for a short one.
func (n Name) Sum() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, part := range []string{n.Process, n.Key} { // each with its length: no two names run into one
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		_, _ = h.Write([]byte(part))
	}
	_, _ = h.Write([]byte(n.Text))
	h.Sum(sum[:0])
	return sum
}

// Named is the op that has a name.
type Named struct {
	ID   ID
	Op   int    // 0 to 65535
	Task string // the engine's own id of the task, at most MaxNameTask bytes; empty: it is not known
	Data []byte // the caller's own, at most MaxNameData bytes; opaque here
}

// Check says what is too large. That is no ErrUnavailable: the same Bind never succeeds.
func (to Named) Check() error {
	switch {
	case to.Op < 0 || to.Op > math.MaxUint16:
		return fmt.Errorf("correlator: bind a name: op %d: must be from 0 to %d", to.Op, math.MaxUint16)
	case len(to.Task) > MaxNameTask:
		return fmt.Errorf("correlator: bind a name: the task's id has %d bytes: at most %d can be kept", len(to.Task), MaxNameTask)
	case len(to.Data) > MaxNameData:
		return fmt.Errorf("correlator: bind a name: the data has %d bytes: at most %d can be kept", len(to.Data), MaxNameData)
	}
	return nil
}

// Namer is the optional half of a Correlator: ops that are known by names. A name is open until its op is final, then finished, and is
// forgotten when its time has passed. All methods may be called concurrently, on any node. ErrUnavailable: the same call may succeed later;
// it may also have done what it was asked for.
type Namer interface {
	// Bind gives an op a name for d from now on, at least a millisecond. It keeps no part of to, but copies. A finished name of another op is
	// replaced. The same op may be bound again: then Task, Data and d are replaced, the right of a Take stays, and a finished name stays
	// finished. ErrNameTaken: another op has it, and the name is as it was. ErrTooManyNames, and the errors of Check.
	Bind(ctx context.Context, n Name, to Named, d time.Duration) error
	// Take gives the op with a name, and the right to complete it: nobody else gets that until Finish, or until lease has passed, at least a
	// millisecond. The caller must not change the Data. ErrNameUnknown, ErrNameFinished, ErrNameBusy.
	Take(ctx context.Context, n Name, lease time.Duration) (Named, error)
	// Finish ends what Take began, or says of an op that it became final in another way. final: the name is finished until its time has passed,
	// and its Task and Data are dropped; else it is open again, unless it is finished. It does nothing if the op with that id does not have the
	// name. Who took the name does not matter: it ends also a Take that came after the lease of the caller's own.
	Finish(ctx context.Context, n Name, id ID, op int, final bool) error
	// Unbind forgets the name of an op that was surely not asked for, and that is not bound to the name again: a Bind of it that comes later, as
	// one that was on its way may, can be refused with ErrUnavailable. It does nothing if the op with that id does not have the name.
	Unbind(ctx context.Context, n Name, id ID, op int) error
}
