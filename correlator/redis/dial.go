package redis

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// dial is go-redis's way to a server, with TLS if there is a configuration of that. It takes no longer than the time-out.
func dial(timeout time.Duration, secure *tls.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			c, err = quiet(c)
		}
		if err != nil || secure == nil {
			return c, err
		}
		s := tls.Client(c, secure)
		if err := s.HandshakeContext(ctx); err != nil {
			_ = c.Close()
			if ctx.Err() != nil {
				return nil, errHandshake
			}
			return nil, err
		}
		return s, nil
	}
}
