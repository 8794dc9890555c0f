package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"syscall"
)

// unreadableError says that what is stored cannot be opened.
type unreadableError struct{ cause error }

func (e *unreadableError) Error() string { return e.cause.Error() }
func (e *unreadableError) Unwrap() error { return e.cause }

// classify gives the outcome of an attempt without a status, and words for it that show nothing of the URL or of what was sent.
func (s *Sender) classify(ctx context.Context, err error) (Outcome, string) {
	var (
		unreadable *unreadableError
		blocked    *RefusedError
		timeout    net.Error
	)
	switch {
	case errors.Is(err, errEnded):
		return OutcomeEnded, err.Error()
	case errors.As(err, &unreadable):
		return OutcomeUnreadable, unreadable.Error()
	case errors.As(err, &blocked):
		return OutcomeBlocked, blocked.Error()
	case errors.Is(err, errLate):
		return OutcomeCut, err.Error()
	case s.cut.Err() != nil:
		return OutcomeCut, "the process ends"
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return OutcomeTimeout, "no answer in time"
	}
	return OutcomeUnreachable, reason(err)
}

func reason(err error) string {
	var (
		lookup      *net.DNSError
		errno       syscall.Errno
		unknown     x509.UnknownAuthorityError
		hostname    x509.HostnameError
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &lookup):
		return "the name cannot be looked up"
	case errors.As(err, &unknown):
		return "TLS: nobody we trust signed the certificate"
	case errors.As(err, &hostname):
		return "TLS: the certificate is for another name"
	case errors.As(err, &certificate):
		return "TLS: the certificate is not valid"
	case errors.As(err, &alert), errors.As(err, &record):
		return "TLS: no handshake"
	case errors.As(err, &errno):
		return errno.Error()
	}
	return "the connection broke before there was an answer"
}
