//go:build !linux

package gateway

import (
	"errors"
	"net"
)

// sock is Linux's.
type sock struct{ net.Conn }

func bare(ln net.Listener) (net.Listener, error) { return ln, nil }

func stripped(net.Conn) (*sock, error) { return nil, errors.ErrUnsupported }

func (s *sock) dressed() (net.Conn, error) { return nil, errors.ErrUnsupported }
