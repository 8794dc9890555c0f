// Package freeport finds free ports of the loopback for tests and measurements, which have to know them before a program listens.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

const (
	// least and most bound the ports. All are below those that the system gives to connections going out, from 32768 on: such a connection could take
	// a port between its finding and its use.
	least, most = 12_000, 22_000
	// bus is how far above its own port a server of a Redis Cluster has another one.
	bus = 10_000
	// tries is how many ports are tried for each that is wanted.
	tries = 100
)

// Addresses gives n addresses of 127.0.0.1, each another, that nobody listened on a moment ago; nor on the port 10,000 above each. It fails when it has found
// none after 100 tries for each.
func Addresses(n int) ([]string, error) {
	var found []string
	for range tries * n {
		port := least + rand.N(most-least) //nolint:gosec // a port is no secret
		l, err := net.Listen("tcp", at(port))
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }() // all at the end, so that no port is given twice
		if above, err := net.Listen("tcp", at(port+bus)); err == nil {
			_ = above.Close()
			found = append(found, at(port))
		}
		if len(found) == n {
			return found, nil
		}
	}
	return nil, errors.New("find a free port: there is none")
}

func at(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
