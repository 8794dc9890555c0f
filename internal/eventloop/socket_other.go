//go:build !linux

package eventloop

import (
	"errors"
	"net"
)

// Descriptors are Linux's: elsewhere all sockets are emulated, and nothing of this is called.

func strip(nc net.Conn) (int32, error) {
	_ = nc.Close()
	return -1, errors.ErrUnsupported
}

func fdRead(int32, []byte) (int, error)  { return 0, errors.ErrUnsupported }
func fdWrite(int32, []byte) (int, error) { return 0, errors.ErrUnsupported }
func fdLook(int32, bool) Events          { return HangUp }
func fdCloseWrite(int32) error           { return errors.ErrUnsupported }
func fdShutdown(int32)                   {}
func fdDup(int32) (net.Conn, error)      { return nil, errors.ErrUnsupported }
func fdClose(int32) error                { return errors.ErrUnsupported }
