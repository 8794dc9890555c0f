package httpfield

import (
	"bytes"
	"errors"
	"net/netip"

	"github.com/valyala/fasthttp"
)

// Proxies are the balancers in front whose X-Forwarded-For, or Forwarded, is believed.
type Proxies []netip.Prefix

// NewProxies reads addresses and CIDR ranges.
func NewProxies(list []string) (Proxies, error) {
	p := make(Proxies, 0, len(list))
	for _, s := range list {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			addr, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return nil, errors.New("one is neither an address nor a range like 10.0.0.0/8")
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		p = append(p, prefix.Masked())
	}
	return p, nil
}

// Trusts reports whether an address is one of the proxies.
func (p Proxies) Trusts(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// Client gives the address of the client, when the peer is a proxy of ours: the right-most one that the proxies name and that none of them
// has. For the log only.
//
// X-Forwarded-For is read, or Forwarded (RFC 7239) where there is none: nearly every balancer writes the first, and passes the second on as
// the client sent it.
func (p Proxies) Client(peer netip.Addr, h *fasthttp.RequestHeader) string {
	peer = peer.Unmap()
	if len(p) == 0 || !p.Trusts(peer) {
		return peer.String()
	}
	w := way{Proxies: p}
	if lines := h.PeekAll("X-Forwarded-For"); len(lines) > 0 {
		for _, line := range lines {
			w.addresses(line)
		}
	} else {
		for _, line := range h.PeekAll("Forwarded") {
			w.elements(line)
		}
	}
	if w.client.IsValid() {
		return w.client.String()
	}
	return peer.String()
}

// way is the way of a request through proxies, read from its beginning: the lines of a header in their order, and each from its left.
type way struct {
	Proxies
	client netip.Addr // the right-most untrusted one so far; not valid: it is not known
}

// hop goes on to the next address. What stands before an unknown one is believed by nobody: a stranger may have written it.
func (w *way) hop(a netip.Addr, known bool) {
	switch {
	case !known:
		w.client = netip.Addr{}
	case !w.Trusts(a), !w.client.IsValid():
		w.client = a
	}
}

// addresses reads a line of X-Forwarded-For.
func (w *way) addresses(line []byte) {
	for hop := range bytes.SplitSeq(line, []byte(",")) {
		if hop = bytes.Trim(hop, " \t"); len(hop) > 0 {
			w.hop(parseHop(hop))
		}
	}
}

// elements reads a line of Forwarded (RFC 7239, 4). A line that is malformed says nothing, as a client may have begun a quoted string that
// swallows what a proxy has added.
func (w *way) elements(line []byte) {
	for len(line) > 0 {
		element, rest, ok := cutItem(line, ',')
		if len(element) > 0 {
			var hop []byte
			if ok {
				hop, ok = forwardedFor(element)
			}
			w.hop(parseHop(hop))
		}
		if !ok {
			w.hop(netip.Addr{}, false)
			return
		}
		line = rest
	}
}

// forwardedFor gives the node of the "for" parameter of an element, empty where there is none.
func forwardedFor(element []byte) (node []byte, ok bool) {
	seen := false
	for len(element) > 0 {
		pair, rest, _ := cutItem(element, ';') // every quoted string ends: the caller has looked
		name, value, ok := cutPair(pair)
		switch {
		case !ok:
			return nil, false
		case bytes.EqualFold(name, []byte("for")):
			if seen {
				return nil, false
			}
			node, seen = value, true
		}
		element = rest
	}
	return node, true
}

// parseHop reads an address, which may have a port and brackets: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] or
// [2001:db8::1]:80. It does not know others, such as unknown and the names that hide one.
func parseHop(hop []byte) (a netip.Addr, known bool) {
	if inside, ok := bytes.CutPrefix(hop, []byte("[")); ok {
		var port []byte
		if hop, port, ok = bytes.Cut(inside, []byte("]")); !ok || len(port) > 0 && port[0] != ':' {
			return a, false
		}
	} else if bytes.Count(hop, []byte(":")) == 1 {
		hop, _, _ = bytes.Cut(hop, []byte(":"))
	}
	a, err := netip.ParseAddr(string(hop))
	return a.Unmap().WithZone(""), err == nil // a zone may be any text
}
