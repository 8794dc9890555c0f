package metrici

import (
	"bytes"
	"encoding/base64"

	"syncgate/correlator"
)

// A token is base64 of a JSON object with node, the path where the callback step is reached, and anchor, the step that runs [Metrici's own form]. Ours has
// our authenticated token beside them, and is all ASCII without ~, ? and >, in a multiple of three bytes: so it needs no percent-encoding, and no
// padding.

const (
	// node is the path of the callback step below callback.base_url.
	node = "callback/metrici"
	// anchor is the action that the step runs.
	anchor = "callback"

	tokenHead = `{"node":"` + node + `","anchor":"` + anchor + `","auth":"`
	tokenTail = `"}`
)

// tokenEncoding has one spelling for each token.
var tokenEncoding = base64.StdEncoding.Strict()

// tokenLen is the length of every token, in characters.
var tokenLen = tokenEncoding.EncodedLen(len(tokenHead) + correlator.LongTokenLen + len(tokenTail))

// wrapped gives the token that a worker gets for one of ours.
func wrapped(token string) string {
	return tokenEncoding.EncodeToString([]byte(tokenHead + token + tokenTail))
}

// unwrapped gives our own token of a worker's. Not ok: it is none, or spelled in another way.
func unwrapped(token []byte) (own []byte, ok bool) {
	if len(token) != tokenLen {
		return nil, false
	}
	text := make([]byte, tokenEncoding.DecodedLen(len(token)))
	n, err := tokenEncoding.Decode(text, token)
	if err != nil || n != len(text) { // n is less where line ends were skipped
		return nil, false
	}
	text, ok = bytes.CutPrefix(text, []byte(tokenHead))
	if !ok {
		return nil, false
	}
	return bytes.CutSuffix(text, []byte(tokenTail))
}
