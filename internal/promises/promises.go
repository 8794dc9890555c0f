// Package promises judges trips by what the engine and the clients have seen, and by nothing else: an op has one task, a
// result reaches its own client, and a result that the engine heard 200 for can be read. The fault matrix
// (bench/chaos) and the model test of gateway share it.
package promises

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"syncgate/internal/enginesim"
)

// Evidence is what the engine has seen: its tasks, by the ref of their ops.
type Evidence map[string][]enginesim.Task

// Gather sorts tasks by ref.
func Gather(tasks []enginesim.Task) Evidence {
	e := make(Evidence)
	for _, task := range tasks {
		ref := strings.Trim(task.Ref, `"`)
		e[ref] = append(e[ref], task)
	}
	return e
}

// Op is what the engine has seen of one op.
type Op struct {
	Tasks   int
	Answers []enginesim.Answer // to the callbacks of all its tasks

	Sent         time.Time // when the first callback left; zero: none did
	Acknowledged time.Time // when a callback was first answered 200; zero: never
	Rejected     bool      // a callback was answered that the engine need not send it again
}

// Op gives what the engine has seen under refs, which all name the same op.
func (e Evidence) Op(refs ...string) (o Op) {
	for _, ref := range refs {
		for _, task := range e[ref] {
			o.Tasks++
			o.Answers = append(o.Answers, task.Heard...)
		}
	}
	for _, a := range o.Answers {
		if o.Sent.IsZero() || a.Sent.Before(o.Sent) {
			o.Sent = a.Sent
		}
		if a.Status == 200 && (!o.IsAcknowledged() || a.At.Before(o.Acknowledged)) {
			o.Acknowledged = a.At
		}
		o.Rejected = o.Rejected || isRejection(a.Status)
	}
	return o
}

// isRejection reports whether a status tells an engine to give a callback up. 408 and 429 ask for it again.
func isRejection(status int) bool {
	return status >= 400 && status < 500 && status != 408 && status != 429
}

// IsAcknowledged reports whether a callback was answered 200.
func (o Op) IsAcknowledged() bool { return !o.Acknowledged.IsZero() }

// Doubled says that the op has more than one task. Empty: it has not.
func (o Op) Doubled() string {
	if o.Tasks > 1 {
		return fmt.Sprintf("it has %d tasks", o.Tasks)
	}
	return ""
}

// Lost says that the op's result is lost to a client that can ask for it and has not read it. Empty: it is not.
func (o Op) Lost() string {
	switch {
	case o.IsAcknowledged():
		return fmt.Sprintf("it was acknowledged at %s and cannot be read", o.Acknowledged.Format(clock))
	case o.Rejected:
		return "a callback was rejected though its client can ask for it"
	}
	return ""
}

// Reply is a reply to a package as its client reads it.
type Reply struct {
	Proc string `json:"request_proc"`
	Ops  []OpReply
}

// OpReply is the reply to one op.
type OpReply struct {
	Proc, Ref, Description string
	Data                   json.RawMessage
}

// ReadReply reads the body of a reply.
func ReadReply(body []byte) (r Reply, err error) {
	err = json.Unmarshal(body, &r)
	return r, err
}

// IsResult reports whether an op has its result.
func (op OpReply) IsResult() bool { return op.Proc == "ok" }

// Mistaken says that the reply has a result of another op than the one with ref. The task's data hold that ref as "nonce",
// and a result repeats the data. Empty: it has not.
func (op OpReply) Mistaken(ref string) string {
	var result struct{ Nonce string }
	_ = json.Unmarshal(op.Data, &result) // a result that is no object has no nonce
	if op.IsResult() && result.Nonce != ref {
		return fmt.Sprintf("somebody else's result %s, want that of %s", op.Data, ref)
	}
	return ""
}
