package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"

	"github.com/valyala/fasthttp"
)

// What is said of errors in the log. The error of a library about bytes from the wire may quote them, and an engine that echoes a task
// sends its token. So errors of sockets, TLS and fasthttp are worded here, and what is quoted in others is left out.

// wireError words the error of a step with the engine. None of the engine's bytes is in it.
func wireError(step string, err error) error {
	return errors.New(step + ": " + wireProblem(err))
}

func wireProblem(err error) string {
	slow, isNet := errors.AsType[net.Error](err)
	errno, isErrno := errors.AsType[syscall.Errno](err)
	_, isName := errors.AsType[*net.DNSError](err)
	_, isChunk := errors.AsType[fasthttp.ErrBrokenChunk](err)
	_, isLarge := errors.AsType[*fasthttp.ErrSmallBuffer](err)
	switch {
	case isErrno:
		return errno.Error()
	case isNet && slow.Timeout(), errors.Is(err, fasthttp.ErrTimeout):
		return "timed out"
	case isName:
		return "the name of engine.url cannot be resolved"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before its end"
	case errors.Is(err, net.ErrClosed):
		return "the connection is closed"
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return fmt.Sprintf("larger than %d bytes", engineAnswerLimit)
	case isLarge:
		return "its head is too large"
	case isChunk:
		return "its chunks are malformed"
	}
	if problem := tlsProblem(err); problem != "" {
		return problem
	}
	return "not HTTP/1.1 as this gateway reads it"
}

// tlsProblem words the errors of TLS; empty: it is none of them.
func tlsProblem(err error) string {
	_, isPlain := errors.AsType[tls.RecordHeaderError](err)
	_, isName := errors.AsType[x509.HostnameError](err)
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	alert, isAlert := errors.AsType[tls.AlertError](err)
	switch {
	case isPlain:
		return "the other side does not speak TLS"
	case isName:
		return "its certificate is not for the host of engine.url"
	case isUnknown:
		return "its certificate is of an authority that is not trusted here"
	case isCertificate:
		return "its certificate is not valid"
	case isAlert:
		return fmt.Sprintf("TLS alert %d", uint8(alert))
	}
	if op, is := errors.AsType[*net.OpError](err); is && strings.HasSuffix(op.Op, " error") { // "remote error", "local error"
		return "TLS was refused"
	}
	return ""
}

// unquoted is the text of an error, without what it quotes: who has made the error cannot know what a log may hold.
func unquoted(err error) string { return withoutQuotes(err.Error()) }

// withoutQuotes leaves out what stands between double quotes, as %q writes them; a quote that does not end, to the end.
func withoutQuotes(text string) string {
	before, rest, quoted := strings.Cut(text, `"`)
	if !quoted {
		return text
	}
	var b strings.Builder
	for quoted {
		b.WriteString(before + `"..."`)
		rest = behindQuote(rest)
		before, rest, quoted = strings.Cut(rest, `"`)
	}
	return b.String() + before
}

// behindQuote gives what follows the closing quote.
func behindQuote(text string) string {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return text[i+1:]
		}
	}
	return ""
}

// panicText is what the log says of a panic beside its stack: errors of the runtime hold types and numbers. Any other value is its
// maker's, and only its type is shown.
func panicText(p any) string {
	if err, ok := p.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", p)
}
