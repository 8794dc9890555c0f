//go:build !linux

package eventloop

import "errors"

// newPoller gives the portable poller.
func newPoller(bool) (poller, error) { return newMailbox(), nil }

// epoll is Linux's.
type epoll struct{ mailbox }

func (*epoll) add(arming) error   { return errors.ErrUnsupported }
func (*epoll) rearm(arming) error { return errors.ErrUnsupported }
func (*epoll) remove(int)         {}
