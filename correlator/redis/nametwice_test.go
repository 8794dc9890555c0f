package redis

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/internal/redistest"
)

// named is a name of an op, and the scripts about it as one node runs them.
type named struct {
	*store
	t  *testing.T
	n  correlator.Name
	to correlator.Named
}

func newNamed(t *testing.T, s *store) *named {
	t.Helper()
	id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour))
	return &named{s, t, correlator.Name{Process: "1", Key: "ref", Text: rand.Text()}, correlator.Named{ID: id, Op: 1, Task: "5f3e", Data: []byte(`{}`)}}
}

// other is the same name of another op.
func (n *named) other() *named {
	o := newNamed(n.t, n.store)
	o.n = n.n
	return o
}

// run runs a script, and gives the field that it says.
func (n *named) run(c call) string {
	n.t.Helper()
	said, err := n.askName(n.t.Context(), "test", c)
	if err != nil {
		n.t.Fatal(err)
	}
	return said.field
}

// quiet runs one that says nothing.
func (n *named) quiet(c call) {
	n.t.Helper()
	if err := n.runName(n.t.Context(), "test", c); err != nil {
		n.t.Fatal(err)
	}
}

func (n *named) bound() call        { return n.bindingName(n.n, n.to, time.Minute, "") }
func (n *named) taken() call        { return n.taking(n.n, time.Minute, newTurn()) }
func (n *named) final(is bool) call { return n.finishing(n.n, n.to.ID, n.to.Op, is) }
func (n *named) unbound() call      { return n.unbinding(n.n, n.to.ID, n.to.Op) }
func (n *named) want(c call, w string) {
	n.t.Helper()
	if got := n.run(c); got != w {
		n.t.Errorf("the script says %q, want %q", got, w)
	}
}

// repeatsOfTakers are calls of those who take names and finish them.
func repeatsOfTakers() map[string]func(*named) {
	return map[string]func(*named){
		"a Take": func(n *named) {
			n.quiet(n.bound())
			take := n.taken()
			n.want(take, whoField)
			n.want(take, whoField)
			n.want(n.taken(), nameBusy)
			n.quiet(n.final(false))
			n.want(n.taken(), whoField)
			n.want(take, nameBusy) // much later
		},
		"a Finish without a final": func(n *named) {
			n.quiet(n.bound())
			n.want(n.taken(), whoField)
			finish := n.final(false)
			n.quiet(finish)
			n.want(n.taken(), whoField)
			n.quiet(finish)
			n.want(n.taken(), nameBusy)
			n.quiet(n.final(false))
			n.want(n.taken(), whoField)
		},
		"a Finish with a final": func(n *named) {
			n.quiet(n.bound())
			finish := n.final(true)
			n.quiet(finish)
			n.quiet(finish)
			n.want(n.taken(), finalField)
			o := n.other()
			n.want(o.bound(), "")
			n.quiet(finish)
			n.want(n.taken(), whoField)
		},
	}
}

// repeatsOfOwners are calls of those whose ops have names.
func repeatsOfOwners() map[string]func(*named) {
	return map[string]func(*named){
		"a Bind": func(n *named) {
			bind := n.bound()
			n.want(bind, "")
			n.want(n.taken(), whoField)
			n.want(bind, "")
			n.want(n.taken(), nameBusy)
			n.quiet(n.final(true))
			n.want(bind, finalField)
			n.want(n.taken(), finalField)
			o := n.other()
			n.want(o.bound(), "")
			n.want(bind, whoField)
			n.want(o.bound(), "")
		},
		"an Unbind": func(n *named) {
			bind, unbind := n.bound(), n.unbound()
			n.want(bind, "")
			n.quiet(unbind)
			n.quiet(unbind)
			n.want(n.taken(), "")
			n.want(bind, unboundField)
			n.want(n.taken(), "")
			o := n.other()
			n.want(o.bound(), "")
			n.quiet(unbind)
			n.want(n.taken(), whoField)
		},
		"an Unbind before its Bind": func(n *named) {
			n.quiet(n.unbound())
			n.want(n.bound(), unboundField)
			n.want(n.other().bound(), "")
		},
		"an Unbind of what is finished": func(n *named) {
			n.quiet(n.bound())
			n.quiet(n.final(true))
			n.quiet(n.other().unbound())
			n.want(n.taken(), finalField)
			n.quiet(n.unbound())
			n.want(n.taken(), "")
		},
	}
}

// TestNameScriptsTwice: a client that has lost an answer sends the same script once more, perhaps when others have been there meanwhile.
func TestNameScriptsTwice(t *testing.T) {
	s := open(t, redistest.Start(t).URL())
	for _, part := range []map[string]func(*named){repeatsOfTakers(), repeatsOfOwners()} {
		for what, test := range part {
			t.Run(what, func(t *testing.T) { test(newNamed(t, s)) })
		}
	}
}

// TestUnboundNameIsRefused: a Bind that comes after its Unbind is no success, and says that it can be tried again.
func TestUnboundNameIsRefused(t *testing.T) {
	s := open(t, redistest.Start(t).URL())
	n := newNamed(t, s)
	n.quiet(n.unbound())
	if err := s.bindName(t.Context(), n.n, n.to, time.Minute); !errors.Is(err, correlator.ErrUnavailable) || !errors.Is(err, errUnbound) {
		t.Errorf("bind: %v", err)
	}
}
