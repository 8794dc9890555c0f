package gateway_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"syncgate/gateway"
)

// The log has the client that balancers of ours name, whatever the spelling.
func TestForwardedForIsLogged(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Listen.TrustedProxies = []string{"127.0.0.1", "10.0.0.0/8"} })
	for i, lines := range [][]string{
		{"X-Forwarded-For: 192.0.2.66", "X-Forwarded-For: 192.0.2.1:99, 10.1.2.3"},
		{`Forwarded: for=192.0.2.66, for="192.0.2.1:99"`, "Forwarded: for=10.1.2.3"},
	} {
		id := fmt.Sprintf("case-%d", i)
		_, _ = io.WriteString(n.dial(), request("POST", sign("{}"), "{}", append(lines, "X-Request-Id: "+id)...))
		waitFor(t, func() bool {
			for line := range strings.Lines(n.log.String()) {
				if strings.Contains(line, id) {
					if !strings.Contains(line, `"remote":"192.0.2.1"`) {
						t.Fatalf("%q: %s", lines, line)
					}
					return true
				}
			}
			return false
		})
	}
}
