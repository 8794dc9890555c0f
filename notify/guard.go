package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// MaxURL is how long a receiver's URL may be, in bytes.
const MaxURL = 2048

// RefusedError says why a URL, or an address that its name has, may not be a receiver.
type RefusedError struct {
	Why string // words for the client: they show nothing of the URL but its host, port or address
}

func (e *RefusedError) Error() string { return "the receiver is not allowed: " + e.Why }

func refused(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// GuardConfig says which receivers are allowed. The zero value allows https alone, and no address that is not public.
type GuardConfig struct {
	AllowHTTP     bool           // receivers without TLS
	AllowNetworks []netip.Prefix // networks that are not public and that notifications may go to
	Resolver      *net.Resolver  // nil: the system's
}

// Guard decides which receivers a client may name, so that nobody reaches through us what only we can reach. Check judges a URL; DialContext
// judges each address at the moment when it is dialled, so a name that has another address the second time gains nothing.
//
// Addresses that are not public are refused: loopback, link-local (with the metadata services there), private, shared (100.64.0.0/10),
// multicast, unspecified, documentation, translated (64:ff9b::/96), 6to4, Teredo, and every other one that IANA lists as special; IPv4
// addresses in IPv6 form; and 168.63.129.16, which is Azure's metadata and has a public address. Ports below 1024 are refused but 80 and 443.
//
// A Guard never changes and is safe for concurrent use.
type Guard struct {
	allowHTTP bool
	guardian  *ssrf.Guardian
	dialer    net.Dialer
}

// NewGuard makes a Guard. It fails where a network is not valid, or is an IPv4 network in IPv6 form.
func NewGuard(c GuardConfig) (*Guard, error) {
	var v4, v6 []netip.Prefix
	for _, p := range c.AllowNetworks {
		switch {
		case !p.IsValid():
			return nil, errors.New("allow_networks: a network is not valid: write 10.1.0.0/16 or fd00:1::/32")
		case p.Addr().Is4In6():
			return nil, fmt.Errorf("allow_networks: %v: write it as an IPv4 network", p)
		case p.Addr().Is4():
			v4 = append(v4, p.Masked())
		default:
			v6 = append(v6, p.Masked())
		}
	}
	g := &Guard{allowHTTP: c.AllowHTTP}
	g.guardian = ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...),
		ssrf.WithDeniedV4Prefixes(netip.MustParsePrefix("168.63.129.16/32")))
	g.dialer = net.Dialer{Resolver: c.Resolver, KeepAlive: 30 * time.Second, Control: g.control}
	return g, nil
}

// Check reports whether a client may name this URL as a receiver; a *RefusedError says why not. It resolves no name: a name is judged when it is
// dialled, by its addresses.
func (g *Guard) Check(text string) error {
	_, err := g.parse(text)
	return err
}

func (g *Guard) parse(text string) (*url.URL, error) {
	if len(text) > MaxURL {
		return nil, refused("the URL has more than %d bytes", MaxURL)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil: // url's error quotes all of it
		return nil, refused("it is not a URL")
	case u.Scheme != "https" && (u.Scheme != "http" || !g.allowHTTP):
		if g.allowHTTP {
			return nil, refused("the URL must begin with https:// or http://")
		}
		return nil, refused("the URL must begin with https://")
	case u.User != nil:
		return nil, refused("the URL holds a user name or a password")
	case u.Host == "" || u.Opaque != "":
		return nil, refused("the URL names no host")
	}
	if err := checkPort(u); err != nil {
		return nil, err
	}
	return u, g.checkHost(u.Hostname())
}

func checkPort(u *url.URL) error {
	text := u.Port()
	if text == "" {
		if strings.HasSuffix(u.Host, ":") {
			return refused("the port is missing behind the colon")
		}
		return nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || text[0] == '0' { // 0443 would be another host than 443 to what bounds attempts
		return refused("the port is not one of 1 to 65535, without leading zeros")
	}
	return portAllowed(uint16(port))
}

func portAllowed(port uint16) error {
	if port < 1024 && port != 80 && port != 443 {
		return refused("port %d belongs to another service: use 443, 80, or one from 1024 on", port)
	}
	return nil
}

func (g *Guard) checkHost(host string) error {
	if strings.Contains(host, ":") { // it was in brackets
		ip, err := netip.ParseAddr(host)
		switch {
		case err != nil:
			return refused("the host is not an address")
		case ip.Zone() != "":
			return refused("the address %v names a network interface", ip.WithZone(""))
		}
		return g.checkAddr(ip)
	}
	if !isName(host) {
		return refused("the host is not a name in letters, digits, hyphens and dots: write other scripts in their xn-- form")
	}
	if endsInNumber(host) {
		ip, err := netip.ParseAddr(host)
		if err != nil {
			return refused("the host is a number: write an IPv4 address as four decimal numbers without leading zeros")
		}
		return g.checkAddr(ip)
	}
	return nil
}

func isName(host string) bool {
	if host == "" || len(host) > 254 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			letter, digit := c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9'
			if !letter && !digit && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// endsInNumber reports whether resolvers may take a host for an IPv4 address: decimal, octal or hexadecimal, of one to four parts. (URL
// Standard, "ends in a number checker".)
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		return true
	}
	hex, ok := strings.CutPrefix(strings.ToLower(last), "0x")
	return ok && strings.Trim(hex, "0123456789abcdef") == ""
}

func (g *Guard) checkAddr(ip netip.Addr) error {
	if ip.Is4In6() {
		return refused("the address %v is an IPv4 address in IPv6 form", ip)
	}
	if err := g.guardian.SafeAddr(ip); err != nil {
		return refused("the address %v is not public", ip)
	}
	if ssrf.IPv6NAT64Prefix.Contains(ip) { // its network is allowed: what is behind the translation is judged by itself
		b := ip.As16()
		return g.checkAddr(netip.AddrFrom4([4]byte(b[12:])))
	}
	return nil
}

// control judges one address before its connection begins. It is net.Dialer's Control, which is called for each address that is tried.
func (g *Guard) control(network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return refused("the connection is not TCP")
	}
	if err := portAllowed(to.Port()); err != nil {
		return err
	}
	return g.checkAddr(to.Addr())
}

// DialContext is net.Dialer's, and connects to no address that is not allowed: then its error wraps a *RefusedError.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return g.dialer.DialContext(ctx, network, address)
}
