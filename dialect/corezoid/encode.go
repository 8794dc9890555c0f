package corezoid

import (
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/signer"
)

// Encode makes the request for the engine: the tokens go into c.Body, which dst then points to, and it is signed for now.
// The engine verifies what it got, so the signature is over the finished package.
func (d *Dialect) Encode(dst *fasthttp.Request, c *dialect.Call, tokens []string, now time.Time) error {
	signs, routed := c.Login, false
	if c.Options != nil {
		var by signedBy
		if by, routed = c.Options.Prepared.(signedBy); routed {
			signs = string(by)
		}
	}
	if len(tokens) != len(c.Slots) && (!routed || len(tokens) == 0 || len(c.Slots)%len(tokens) != 0) {
		return fmt.Errorf("encode for the engine: %d tokens for %d tasks", len(tokens), len(c.Slots))
	}
	login, secret, ok := d.access.Load().Keys.Engine(signs)
	if !ok {
		return fmt.Errorf("encode for the engine: login %s is not known any more", signs)
	}
	for i, at := range c.Slots {
		token := tokens[i*len(tokens)/len(c.Slots)] // that of a route's task may stand in two places
		if len(token) != correlator.TokenLen {
			return fmt.Errorf("encode for the engine: token %d has %d characters", i, len(token))
		}
		copy(c.Body[at:at+correlator.TokenLen], token)
	}
	var stampRoom [20]byte
	var pathRoom [256]byte
	stamp := signer.AppendTime(stampRoom[:0], now)
	path := append(pathRoom[:0], d.enginePath...)
	path = append(append(path, login...), '/')
	path = append(append(path, stamp...), '/')
	path = signer.AppendSignature(path, stamp, secret, c.Body)

	dst.Header.SetMethod(fasthttp.MethodPost)
	dst.Header.SetHostBytes(d.engineHost) // with a host and a path fasthttp has no URI to take apart
	dst.SetRequestURIBytes(path)
	dst.Header.SetContentType(contentType) // without a parameter: Express and Node-RED answer 415 to charset=utf8
	dst.SetBodyRaw(c.Body)
	return nil
}
