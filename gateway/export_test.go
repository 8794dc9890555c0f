package gateway

import (
	"crypto/x509"
	"unsafe"

	"syncgate/correlator"
)

// Leaks says what is still held when nothing should be: bytes of bodies, and connections.
func (g *Gateway) Leaks() (bytes, open int64) {
	return g.requestBodies.Used() + g.callbackBodies.Used(), g.server.Open()
}

// Outcomes gives every way in which a create may end.
func Outcomes() []string { return outcomes() }

// SizeOfWaiting gives the bytes of a trip that waits.
func SizeOfWaiting() uintptr { return unsafe.Sizeof(trip{}) }

// SetHook has hook called at the points that Parts names, and at those of upstream.Options.Hook.
func (p *Parts) SetHook(hook func(point string)) { p.hook = hook }

// TrustEngine has certificates of the engine accepted that roots have signed.
func (p *Parts) TrustEngine(roots *x509.CertPool) { p.engineRoots = roots }

// Forsake cancels a task of so many ops as if its client had left its stream.
func (g *Gateway) Forsake(id correlator.ID, ops int) { g.forsakeTask(id, ops) }
