package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/valyala/fasthttp"
)

// Where an answer of the engine ends, and whether its connection may carry another request: RFC 9112, 6.3 and 9.3, and RFC 9110,
// 7.6.1. fasthttp reads heads and bodies. What it does not say is read here, from the same bytes: that a body ends where its
// connection does, and "Connection: close" in any case, in a list, or in one line of several.

const (
	// engineAnswerLimit bounds the body of an engine's own answer, in bytes.
	engineAnswerLimit = 16 << 20
	// interimAnswers bounds the heads of one answer: all but the last one are interim (1xx).
	interimAnswers = 16
)

var (
	errMalformed    = errors.New("it is not HTTP/1.1 as this gateway reads it")
	errAnswerLength = errors.New("it is too large")
)

// ending is how an answer ends.
type ending struct {
	closes  bool // the connection carries no further request
	atClose bool // the body has no length: it ends where the connection does
}

// readAnswerHead reads the head of an answer, past interim ones.
func readAnswerHead(r *bufio.Reader, resp *fasthttp.Response) (end ending, err error) {
	h := &resp.Header
	h.DisableNormalizing() // nobody looks for a name
	for range interimAnswers {
		head, err := peekHead(r)
		if err != nil {
			return end, err
		}
		closes := closesAfter(head)
		if h.Read(r) != nil {
			return end, errMalformed // fasthttp's text has a part of the answer, and that may have a token
		}
		const unknown = -2 // for fasthttp
		switch status := h.StatusCode(); {
		case status == fasthttp.StatusSwitchingProtocols:
			return ending{closes: true}, nil
		case status < 100:
			return end, errMalformed
		case status < 200:
		default:
			atClose := h.ContentLength() == unknown && hasBody(status)
			return ending{closes: closes || atClose, atClose: atClose}, nil
		}
	}
	return end, errMalformed
}

// hasBody reports whether the answer to a POST has a body.
func hasBody(status int) bool {
	return status >= 200 && status != fasthttp.StatusNoContent && status != fasthttp.StatusNotModified
}

// readAnswerBody reads the body of an answer whose head was read.
func readAnswerBody(r *bufio.Reader, resp *fasthttp.Response) error {
	if !hasBody(resp.StatusCode()) {
		return nil
	}
	const chunked = -1 // for fasthttp
	inChunks := resp.Header.ContentLength() == chunked
	err := resp.ReadBody(r, engineAnswerLimit)
	if err == nil && inChunks {
		err = resp.Header.ReadTrailer(r)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return errAnswerLength
	default:
		return errMalformed // likewise
	}
}

// peekHead gives the next head, up to and with its empty line. It reads as much as r has room for.
func peekHead(r *bufio.Reader) (head []byte, err error) {
	for {
		head, _ = r.Peek(r.Buffered())
		for bytes.HasPrefix(head, []byte("\r\n")) { // which some engines leave behind a body
			_, _ = r.Discard(len("\r\n"))
			head = head[len("\r\n"):]
		}
		end := bytes.Index(head, []byte("\r\n\r\n"))
		protocol := []byte("HTTP/")
		switch {
		case !bytes.HasPrefix(head, protocol[:min(len(head), len(protocol))]) && string(head) != "\r", errors.Is(err, bufio.ErrBufferFull) && end < 0:
			return nil, errMalformed
		case end >= 0:
			return head[:end+len("\r\n\r\n")], nil
		case err != nil:
			return nil, err
		}
		_, err = r.Peek(r.Buffered() + 1)
	}
}

// closesAfter reports whether a connection ends with the answer of that head. In doubt it does: where it is certain only for one of two
// readers where the answer ends.
func closesAfter(head []byte) bool {
	var ends, keep, length, coding bool
	old := !bytes.HasPrefix(head, []byte("HTTP/1.1 "))
	_, lines, _ := bytes.Cut(head, []byte("\n"))
	for line := range bytes.Lines(lines) {
		if !bytes.HasSuffix(line, []byte("\r\n")) || line[0] == ' ' || line[0] == '\t' {
			return true
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch name = bytes.TrimRight(name, " \t"); {
		case isName(name, "connection"):
			ends = ends || lists(value, "close")
			keep = keep || lists(value, "keep-alive")
		case isName(name, "content-length"):
			length = true
		case isName(name, "transfer-encoding"):
			coding = true
		}
	}
	return ends || old && !keep || coding && (length || old)
}

// lists reports whether a header's value is a list with an element, whose case does not matter.
func lists(value []byte, lower string) bool {
	for element := range bytes.SplitSeq(value, []byte(",")) {
		if isName(bytes.Trim(element, " \t\r\n"), lower) {
			return true
		}
	}
	return false
}

// answerReader reads what was read already, and then the connection.
type answerReader struct {
	before   []byte
	conn     io.Reader
	failed   error // of the connection
	buffered *bufio.Reader
}

// read reads one answer. keep: the connection can carry another request.
func (r *answerReader) read(resp *fasthttp.Response) (keep bool, err error) {
	end, err := readAnswerHead(r.buffered, resp)
	if err == nil {
		err = readAnswerBody(r.buffered, resp)
	}
	switch {
	case err == nil: // what is behind it answers a question that was not asked
		return !end.closes && r.buffered.Buffered() == 0 && len(r.before) == 0, nil
	case errors.Is(r.failed, io.EOF):
		return false, io.ErrUnexpectedEOF
	case r.failed != nil:
		return false, r.failed
	default:
		return false, err
	}
}

// Read reads.
func (r *answerReader) Read(p []byte) (n int, err error) {
	if len(r.before) > 0 {
		n = copy(p, r.before)
		r.before = r.before[n:]
		return n, nil
	}
	if n, err = r.conn.Read(p); err != nil {
		r.failed = err
	}
	return n, err
}
