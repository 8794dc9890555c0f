//go:build !linux

package eventloop

import (
	"errors"
	"net"
)

// Descriptors are Linux's: elsewhere all sockets are emulated, and nothing of this is called.

func strip(nc net.Conn) (int, error) {
	_ = nc.Close()
	return -1, errors.ErrUnsupported
}

func fdRead(int, []byte) (int, error)  { return 0, errors.ErrUnsupported }
func fdWrite(int, []byte) (int, error) { return 0, errors.ErrUnsupported }
func fdLook(int, bool) Events          { return HangUp }
func fdCloseWrite(int) error           { return errors.ErrUnsupported }
func fdShutdown(int)                   {}
func fdDup(int) (net.Conn, error)      { return nil, errors.ErrUnsupported }
func fdClose(int) error                { return errors.ErrUnsupported }
