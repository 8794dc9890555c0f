package redis

import (
	"encoding/binary"
	"errors"
	"time"

	"syncgate/correlator"
)

// What is stored under the key of a name:
//
//	who    = tag owner expiry         the tag is for the key, task and data as well
//	final  = tag owner                the tag is for the key as well
//	unbound = tag owner
//	owner  = id op                    32 bytes and two
//	expiry = 8 bytes                  Unix ms; what somebody stores again after it is worth nothing
//	lease  = decimal blank turn       what is left of the name's time, in ms, when somebody else may complete the op
//	opened = turn                     of the last Finish without a final
//	turn   = 16 characters            hexadecimal
//
// The scripts know where the owner is.

const (
	ownerLen = len(correlator.ID{}) + 2
	markLen  = correlator.TagLen + ownerLen
	whoLen   = markLen + 8 // with 64 bytes at most Redis stores a hash as a list, which takes less memory
)

var (
	// errPassed says that the time of a name has passed, though Redis still has it.
	errPassed = errors.New("the name's time has passed")
	// errUnbound says that the op of a Bind was unbound before that came.
	errUnbound = errors.New("the name was unbound before it came")
)

// who is what is stored of the op that has a name.
func (t *tags) who(key string, to correlator.Named, expiry time.Time) string {
	text := make([]byte, correlator.TagLen, whoLen)
	text = appendOwner(text, to.ID, to.Op)
	text = binary.BigEndian.AppendUint64(text, uint64(expiry.UnixMilli()))
	h := head(kindName, to.ID, to.Op, 0)
	tag := t.keys.Tag(h[:], whoBody(key, text[markLen:], to.Task, to.Data))
	copy(text, tag[:])
	return string(text)
}

// whoBody is what the tag of a who is for beside its owner: no two who have the same.
func whoBody(key string, expiry []byte, task string, data []byte) []byte {
	body := make([]byte, 0, 16+len(key)+len(expiry)+len(task)+len(data))
	body = binary.BigEndian.AppendUint32(body, uint32(len(key))) //nolint:gosec // of some ten bytes
	body = append(append(body, key...), expiry...)
	body = binary.BigEndian.AppendUint64(body, uint64(len(task)))
	return append(append(body, task...), data...)
}

// held gives who has a name, by what a script says. ErrNameUnknown, ErrNameBusy, ErrNameFinished, errUnbound, errPassed; errForged: it is not ours.
func (t *tags) held(key string, said saying) (correlator.Named, error) {
	genuine, err := kindFinal, correlator.ErrNameFinished
	switch said.field {
	case whoField:
		return t.parseNamed(key, said.text, said.task, said.data)
	case nameBusy:
		return correlator.Named{}, correlator.ErrNameBusy
	case finalField:
	case unboundField:
		genuine, err = kindUnbound, errUnbound
	default:
		return correlator.Named{}, correlator.ErrNameUnknown
	}
	if !t.nameMarked(genuine, key, said.text) {
		err = errForged
	}
	return correlator.Named{}, err
}

// parseNamed reads what is stored of the op that has a name. errForged, errPassed.
func (t *tags) parseNamed(key, who, task, data string) (correlator.Named, error) {
	if len(who) != whoLen {
		t.refuse(kindName)
		return correlator.Named{}, errForged
	}
	text := []byte(who)
	to := correlator.Named{Task: task, Data: []byte(data)}
	to.ID, to.Op = parseOwner(text[correlator.TagLen:])
	h := head(kindName, to.ID, to.Op, 0)
	if !t.keys.Tagged(text[:correlator.TagLen], h[:], whoBody(key, text[markLen:], task, to.Data)) {
		t.refuse(kindName)
		return correlator.Named{}, errForged
	}
	if time.Now().UnixMilli() >= int64(binary.BigEndian.Uint64(text[markLen:])) { //nolint:gosec // as we wrote it
		return correlator.Named{}, errPassed
	}
	if len(data) == 0 {
		to.Data = nil
	}
	return to, nil
}

// nameMark is what says that something has happened to the name of an op.
func (t *tags) nameMark(k kind, key string, id correlator.ID, op int) string {
	h := head(k, id, op, 0)
	tag := t.keys.Tag(h[:], []byte(key))
	return string(appendOwner(tag[:], id, op))
}

// nameMarked reports whether a mark of a name is genuine.
func (t *tags) nameMarked(k kind, key, mark string) bool {
	if len(mark) == markLen {
		text := []byte(mark)
		id, op := parseOwner(text[correlator.TagLen:])
		h := head(k, id, op, 0)
		if t.keys.Tagged(text[:correlator.TagLen], h[:], []byte(key)) {
			return true
		}
	}
	t.refuse(k)
	return false
}

func appendOwner(dst []byte, id correlator.ID, op int) []byte {
	return binary.BigEndian.AppendUint16(append(dst, id[:]...), uint16(op)) //nolint:gosec // Named.Check, or none has it
}

// parseOwner reads an owner, of ownerLen bytes.
func parseOwner(text []byte) (id correlator.ID, op int) {
	copy(id[:], text)
	return id, int(binary.BigEndian.Uint16(text[len(id):]))
}
