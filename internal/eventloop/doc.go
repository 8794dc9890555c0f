// Package eventloop watches sockets.
package eventloop
