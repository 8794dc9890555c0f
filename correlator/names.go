package correlator

import (
	"context"
	"errors"
	"fmt"
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

// MaxNameData bounds Named.Data, in bytes.
const MaxNameData = 1 << 20

// Name is what an op is known by beside its token.
type Name struct {
	Process string // names of different processes have nothing in common
	Key     string // what the name is: a ref, an engine's id of the task, or a member of the task's data
	Text    string // decoded
}

// Named is the op that has a name.
type Named struct {
	ID   ID
	Op   int
	Task string // the engine's own id of the task; empty: it is not known
	Data []byte // the caller's own, at most MaxNameData bytes; opaque here
}

// Namer is the optional half of a Correlator: ops that are known by names. A name is open until its op is final, then finished, and is
// forgotten when its time has passed. All methods may be called concurrently, on any node. ErrUnavailable: the same call may succeed later.
type Namer interface {
	// Bind gives an op a name for d from now on. The same op may be bound again: then Task, Data and d are replaced. A finished name is replaced.
	// ErrNameTaken: another op has it, and the name is as it was. ErrTooManyNames.
	Bind(ctx context.Context, n Name, to Named, d time.Duration) error
	// Take gives the op with a name, and the right to complete it: nobody else gets that until Finish, or until lease has passed.
	// ErrNameUnknown, ErrNameFinished, ErrNameBusy.
	Take(ctx context.Context, n Name, lease time.Duration) (Named, error)
	// Finish ends what Take began, or says of an op that it became final in another way. final: the name is finished until its time has passed;
	// else it is open again. It does nothing if the op with that id does not have the name.
	Finish(ctx context.Context, n Name, id ID, op int, final bool) error
	// Unbind forgets the name of an op that was surely not asked for. It does nothing if the op with that id does not have the name.
	Unbind(ctx context.Context, n Name, id ID, op int) error
}
