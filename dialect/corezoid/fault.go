package corezoid

import (
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
)

// bodyFault refuses a body. Its text says why.
func bodyFault(why error) *dialect.Fault {
	return &dialect.Fault{Status: fasthttp.StatusBadRequest, Text: "Incorrect body: " + why.Error()}
}

// encodingFault refuses a compressed body: what was signed, spliced and forwarded must be what was sent.
func encodingFault(which string) *dialect.Fault {
	return &dialect.Fault{Status: fasthttp.StatusUnsupportedMediaType, Text: "Content-Encoding is not supported" + which}
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
