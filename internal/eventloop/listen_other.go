//go:build !linux

package eventloop

import (
	"errors"
	"net"
)

// bareListener is Linux's.
type bareListener struct{ addr net.Addr }

func listenBare(ln net.Listener) (*Listener, error) { return &Listener{ln: ln}, nil }

func (*bareListener) accept() (*Accepted, error) { return nil, errors.ErrUnsupported }

func (*bareListener) close() error { return nil }
