package httpserver

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// The PROXY protocol (haproxy.org, proxy-protocol.txt): the longest header of version 1, and of version 2 the fixed part of a header and
// the most that may follow it here.
const (
	proxyLine  = 107
	proxyFixed = 16
	proxyMost  = 16 << 10
)

// readProxyHeader reads a PROXY header, version 1 or 2, and not one byte more. The address is not valid where the balancer speaks for itself.
func readProxyHeader(nc net.Conn) (client netip.AddrPort, err error) {
	header, err := proxyBytes(nc)
	if err != nil {
		return client, err
	}
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(header)))
	if err != nil {
		return client, err
	}
	if tcp, ok := h.SourceAddr.(*net.TCPAddr); ok && !h.Command.IsLocal() {
		client = tcp.AddrPort()
	}
	return client, nil
}

// proxyBytes reads the bytes of a header, as far as its length shows.
func proxyBytes(r io.Reader) ([]byte, error) {
	b := make([]byte, len(proxyproto.SIGV2), proxyLine)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	if bytes.Equal(b, proxyproto.SIGV2) {
		b = append(b, make([]byte, proxyFixed-len(b))...)
		if _, err := io.ReadFull(r, b[len(proxyproto.SIGV2):]); err != nil {
			return nil, err
		}
		n := int(binary.BigEndian.Uint16(b[proxyFixed-2:]))
		if n > proxyMost {
			return nil, errors.New("httpserver: the PROXY header is too long")
		}
		b = append(b, make([]byte, n)...)
		_, err := io.ReadFull(r, b[proxyFixed:])
		return b, err
	}
	if !bytes.HasPrefix(b, proxyproto.SIGV1) {
		return nil, errors.New("httpserver: there is no PROXY header")
	}
	for b[len(b)-1] != '\n' && len(b) < proxyLine {
		b = append(b, 0)
		if _, err := io.ReadFull(r, b[len(b)-1:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}
