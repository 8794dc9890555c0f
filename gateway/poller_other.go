//go:build !linux

package gateway

import "errors"

// told is what the kernel tells of a socket.
type told uint32

const toldGone told = 1

// poller is Linux's. Elsewhere every connection has a goroutine while it is served.
type poller struct{}

func newPoller() (*poller, error) { return nil, errors.New("gateway: there is no epoll here") }

func (*poller) wait() (n int, ok bool)   { return 0, false }
func (*poller) event(int) (uint64, told) { return 0, 0 }
func (*poller) add(int, uint64) error    { return nil }
func (*poller) again(int, uint64)        {}
func (*poller) remove(int)               {}
func (*poller) close()                   {}
