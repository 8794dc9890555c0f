package gateway

import (
	"bytes"
	"errors"
	"net/netip"

	"github.com/valyala/fasthttp"
)

// proxies are the balancers in front whose X-Forwarded-For is believed.
type proxies []netip.Prefix

// newProxies reads addresses and CIDR ranges.
func newProxies(list []string) (proxies, error) {
	p := make(proxies, 0, len(list))
	for _, s := range list {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			addr, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return nil, errors.New("listen.trusted_proxies: one is neither an address nor a range like 10.0.0.0/8")
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		p = append(p, prefix.Masked())
	}
	return p, nil
}

func (p proxies) trusts(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// client gives the address of the client: the last one in X-Forwarded-For that no proxy of ours has, when the peer is one of them. For the
// log only.
func (p proxies) client(peer netip.Addr, h *fasthttp.RequestHeader) string {
	peer = peer.Unmap()
	if len(p) == 0 || !p.trusts(peer) {
		return peer.String()
	}
	rest := h.Peek("X-Forwarded-For")
	for len(rest) > 0 {
		i := bytes.LastIndexByte(rest, ',')
		hop, err := netip.ParseAddr(string(bytes.TrimSpace(rest[i+1:])))
		if err != nil {
			break
		}
		peer = hop.Unmap().WithZone("") // which may be any text
		if !p.trusts(peer) {
			break
		}
		rest = rest[:max(i, 0)]
	}
	return peer.String()
}
