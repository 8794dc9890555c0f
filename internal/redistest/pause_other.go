//go:build !unix

package redistest

// Pause needs the signals of Unix.
func (s *Server) Pause() { s.t.Fatal("redistest: no process can be paused here") }

// Resume needs the signals of Unix.
func (s *Server) Resume() { s.t.Fatal("redistest: no process can be paused here") }
