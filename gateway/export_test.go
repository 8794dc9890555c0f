package gateway

import "crypto/x509"

// Leaks says what is still held when nothing should be: bytes of bodies, announced requests, connections.
func (g *Gateway) Leaks() (bytes int64, announced int, open int64) {
	g.announcements.mu.Lock()
	defer g.announcements.mu.Unlock()
	bytes = g.requestBodies.size.Load() - g.requestBodies.free.Load()
	bytes += g.callbackBodies.size.Load() - g.callbackBodies.free.Load()
	return bytes, len(g.announcements.of), g.room.open.Load()
}

// RestAfter is how long a connection is idle before it is set aside.
const RestAfter = restAfter

// Asides counts how often connections, and clients that are parked on them, were left to the loops.
func (g *Gateway) Asides() uint64 { return g.loops.entered.Load() }

// Watched counts how often connections came into the watcher's set.
func (g *Gateway) Watched() uint64 {
	g.watcher.mu.Lock()
	defer g.watcher.mu.Unlock()
	return g.watcher.last
}

// SetHook has hook called at the points "look", "write" and "reply", see attempt.go.
func (p *Parts) SetHook(hook func(point string)) { p.hook = hook }

// TrustEngine has certificates of the engine accepted that roots have signed. Call it before the first request.
func (g *Gateway) TrustEngine(roots *x509.CertPool) { g.forwarder.dialer.tls.RootCAs = roots }
