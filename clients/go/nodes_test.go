//go:build nodes

package syncgate_test

import (
	"context"
	"testing"

	syncgate "syncgate/clients/go"
)

func TestNodeIsKilled(t *testing.T) {
	w := newWorld(t)
	name, data := newName()
	c := later(func() (*syncgate.Result, error) { return w.gate.Call(context.Background(), "/v1/kept", data) })
	w.begun(name)
	w.waiting(1)
	w.steer("POST", "/kill", "")
	w.waiting(1)
	w.report(name, "complete", `{"survived":true}`)
	w.wantResult(c, `{"survived":true}`)
	w.wantOne(name)
}
