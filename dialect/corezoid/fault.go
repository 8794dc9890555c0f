package corezoid

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"syncgate/gateway"
	"syncgate/internal/splice"
)

// bodyFault refuses a body. Its text says why.
func bodyFault(why error) *gateway.Fault {
	return &gateway.Fault{Status: fasthttp.StatusBadRequest, Text: "Incorrect body: " + why.Error()}
}

// encodingFault refuses a compressed body: what was signed, spliced and forwarded must be what was sent.
func encodingFault(which string) *gateway.Fault {
	return &gateway.Fault{Status: fasthttp.StatusUnsupportedMediaType, Text: "Content-Encoding is not supported" + which}
}

// encoding gives the first coding of a body that changes it, in whichever line it stands, nil when there is none.
func encoding(h *fasthttp.RequestHeader) []byte {
	for _, line := range h.PeekAll(fasthttp.HeaderContentEncoding) {
		for coding := range bytes.SplitSeq(line, []byte{','}) {
			if coding = trimBlanks(coding); len(coding) > 0 && !isName(coding, "identity") {
				return coding
			}
		}
	}
	return nil
}

// short is as much of what a client sent as an answer to it quotes.
func short(text []byte) []byte {
	const most = 60
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// withoutBytes words an error about what an engine sent: where it is, and of which kind. It drops the bytes that the error quotes, as
// they may be a callback token.
func withoutBytes(err error) error {
	bad, ok := errors.AsType[*splice.Error](err)
	if !ok {
		return err // ours, which quote nothing
	}
	problem := bad.Problem
	if quoted := strings.IndexAny(problem, "'\"`"); quoted >= 0 {
		problem = strings.TrimRight(problem[:quoted], " (")
	}
	return fmt.Errorf("at byte %d: %s", bad.Offset, problem)
}
