package httpfield

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"
)

// IsJSON reports whether a Content-Type is that of JSON: by its name, or by its suffix (RFC 6839, 3.1).
func IsJSON(contentType []byte) bool {
	media, _, _ := bytes.Cut(contentType, []byte{';'})
	media = bytes.TrimSpace(media)
	if string(media) == "application/json" { // what nearly all say
		return true
	}
	media = bytes.ToLower(media)
	return string(media) == "application/json" || string(media) == "text/json" || bytes.HasSuffix(media, []byte("+json"))
}

// ContentCoding gives the first coding that changes a body, in whichever line it stands; nil when there is none. It stands in h.
func ContentCoding(h *fasthttp.RequestHeader) []byte {
	for _, line := range h.PeekAll(fasthttp.HeaderContentEncoding) {
		for coding := range bytes.SplitSeq(line, []byte{','}) {
			if coding = bytes.Trim(coding, " \t"); len(coding) > 0 && !bytes.EqualFold(coding, []byte("identity")) {
				return coding
			}
		}
	}
	return nil
}

// IsOfConnection reports whether a field is about one connection, or about where one message ends, so that nobody passes it on
// (RFC 9110, 7.6.1; RFC 9112, 6).
func IsOfConnection(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "expect":
		return true
	}
	return false
}
