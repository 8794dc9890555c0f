package notify_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"syncgate/notify"
)

func guard(t *testing.T, c notify.GuardConfig) *notify.Guard {
	t.Helper()
	g, err := notify.NewGuard(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// networks reads prefixes.
func networks(prefixes ...string) (all []netip.Prefix) {
	for _, p := range prefixes {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// urls are those that a Guard that allows nothing special refuses at once, with a word of the reason.
var urls = map[string]struct{ url, why string }{
	"loopback":                      {"https://127.0.0.1/x", "not public"},
	"loopback, another":             {"https://127.255.255.254/", "not public"},
	"loopback of IPv6":              {"https://[::1]/", "not public"},
	"unspecified":                   {"https://0.0.0.0/", "not public"},
	"unspecified of IPv6":           {"https://[::]/", "not public"},
	"this network":                  {"https://0.1.2.3/", "not public"},
	"private, 10":                   {"https://10.0.0.1/", "not public"},
	"private, 172":                  {"https://172.31.255.255/", "not public"},
	"private, 192":                  {"https://192.168.1.1/", "not public"},
	"private of IPv6":               {"https://[fd12:3456::1]/", "not public"},
	"shared":                        {"https://100.64.0.1/", "not public"},
	"shared, Alibaba's metadata":    {"https://100.100.100.200/", "not public"},
	"link-local, metadata":          {"https://169.254.169.254/latest/meta-data", "not public"},
	"link-local of IPv6":            {"https://[fe80::1]/", "not public"},
	"metadata of EC2, IPv6":         {"https://[fd00:ec2::254]/", "not public"},
	"metadata of Azure":             {"https://168.63.129.16/", "not public"},
	"metadata of Oracle":            {"https://192.0.0.192/", "not public"},
	"multicast":                     {"https://224.0.0.1/", "not public"},
	"multicast of IPv6":             {"https://[ff02::1]/", "not public"},
	"broadcast":                     {"https://255.255.255.255/", "not public"},
	"reserved":                      {"https://240.0.0.1/", "not public"},
	"benchmarks":                    {"https://198.18.0.1/", "not public"},
	"translated":                    {"https://[64:ff9b::7f00:1]/", "not public"},
	"translated, public":            {"https://[64:ff9b::808:808]/", "not public"},
	"translated, locally":           {"https://[64:ff9b:1::1]/", "not public"},
	"6to4":                          {"https://[2002:7f00:1::]/", "not public"},
	"Teredo":                        {"https://[2001:0:7f00:1::]/", "not public"},
	"compatible":                    {"https://[::127.0.0.1]/", "not public"},
	"mapped":                        {"https://[::ffff:127.0.0.1]/", "IPv6 form"},
	"mapped, in hex":                {"https://[::ffff:7f00:1]/", "IPv6 form"},
	"mapped, public":                {"https://[::ffff:8.8.8.8]/", "IPv6 form"},
	"with a zone":                   {"https://[fe80::1%25eth0]/", "interface"},
	"decimal":                       {"https://2130706433/", "a number"},
	"octal":                         {"https://0177.0.0.1/", "a number"},
	"octal, one part":               {"https://017700000001/", "a number"},
	"hexadecimal":                   {"https://0x7f.0.0.1/", "a number"},
	"hexadecimal, one part":         {"https://0x7F000001/", "a number"},
	"short":                         {"https://127.1/", "a number"},
	"ends in hexadecimal":           {"https://127.0.0.0x1/", "a number"},
	"with a dot behind":             {"https://127.0.0.1./", "a number"},
	"decimal with a dot":            {"https://2130706433./", "a number"},
	"five parts":                    {"https://1.2.3.4.5/", "a number"},
	"too large":                     {"https://256.1.1.1/", "a number"},
	"digits of another script":      {"https://１２７.0.0.1/", "xn--"},
	"dots of another script":        {"https://127。0。0。1/", "xn--"},
	"name in another script":        {"https://прошарок.example/", "xn--"},
	"percent in the host":           {"https://127%2e0.0.1/", "not"},
	"space in the host":             {"https://a b/", "not"},
	"empty label":                   {"https://a..example/", "not a name"},
	"user":                          {"https://user@receiver.example/", "user name"},
	"user and password":             {"https://user:s3cret@receiver.example/", "user name"},
	"user that looks like a host":   {"https://receiver.example@127.0.0.1/", "user name"},
	"backslash":                     {`https://receiver.example\@127.0.0.1/`, "not"},
	"plain":                         {"http://receiver.example/", "https://"},
	"ftp":                           {"ftp://receiver.example/", "https://"},
	"file":                          {"file:///etc/passwd", "https://"},
	"gopher":                        {"gopher://receiver.example/", "https://"},
	"no scheme":                     {"//receiver.example/", "https://"},
	"relative":                      {"/hook", "https://"},
	"opaque":                        {"https:receiver.example", "no host"},
	"no host":                       {"https:///hook", "no host"},
	"no host but a port":            {"https://:443/", "not a name"},
	"SSH":                           {"https://receiver.example:22/", "port 22"},
	"SMTP":                          {"https://receiver.example:25/", "port 25"},
	"port 0":                        {"https://receiver.example:0/", "65535"},
	"port with a leading zero":      {"https://receiver.example:0443/", "leading zeros"},
	"port 65536":                    {"https://receiver.example:65536/", "65535"},
	"no port behind the colon":      {"https://receiver.example:/", "missing"},
	"a port that is no number":      {"https://receiver.example:https/", "not a URL"},
	"a line end":                    {"https://receiver.example/\r\nX:1", "not a URL"},
	"longer than it may":            {"https://receiver.example/" + strings.Repeat("x", notify.MaxURL), "more than"},
	"a name longer than it may be":  {"https://" + strings.Repeat("x.", 200) + "example/", "not a name"},
	"a label longer than it may be": {"https://" + strings.Repeat("x", 64) + ".example/", "not a name"},
}

func TestRefusesAtOnce(t *testing.T) {
	g := guard(t, notify.GuardConfig{})
	for name, row := range urls {
		err := g.Check(row.url)
		var r *notify.RefusedError
		switch {
		case !errors.As(err, &r):
			t.Errorf("%s: %q: %v", name, row.url, err)
		case !strings.Contains(r.Why, row.why):
			t.Errorf("%s: %q: %s; it should say %q", name, row.url, r.Why, row.why)
		case strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%s: the error shows a password: %v", name, err)
		}
	}
}

func TestAllowsWhatIsPublic(t *testing.T) {
	g := guard(t, notify.GuardConfig{})
	for _, url := range []string{
		"https://receiver.example/hook?token=1#part", "https://RECEIVER.example.", "https://receiver.example:8443/", "https://8.8.8.8/",
		"https://[2606:4700::1111]:443/", "https://xn--80aswg.example/", "https://a_b.example/", "https://1.2.3.4a/", "https://0x7g.example/",
	} {
		if err := g.Check(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestAllowNetworks(t *testing.T) {
	g := guard(t, notify.GuardConfig{AllowHTTP: true, AllowNetworks: networks("127.0.0.0/8", "10.1.0.0/16", "fd00:1::/32", "64:ff9b::/96")})
	for url, allowed := range map[string]bool{
		"http://127.0.0.1:8080/": true, "https://10.1.2.3/": true, "https://[fd00:1::7]/": true, "https://[64:ff9b::808:808]/": true,
		"https://[64:ff9b::a01:203]/": true, // 10.1.2.3, translated
		"https://10.2.0.1/":           false, "https://[fd00:2::7]/": false, "https://[::1]/": false, "https://[::ffff:127.0.0.1]/": false,
		"https://[64:ff9b::a02:1]/": false, "https://[64:ff9b::a9fe:a9fe]/": false, "http://0x7f.1/": false, "http://127.0.0.1:22/": false,
	} {
		if err := g.Check(url); (err == nil) != allowed {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:10.0.0.0/104")} {
		if _, err := notify.NewGuard(notify.GuardConfig{AllowNetworks: []netip.Prefix{p}}); err == nil {
			t.Errorf("%v is a network", p)
		}
	}
}
