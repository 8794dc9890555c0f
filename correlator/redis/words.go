package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
)

// What is said of errors. An error reply of the server may quote the arguments of the command, and an error of the library what it has
// read or the URL: ids of trips, results, passwords. So errors are worded here, and none of those bytes is in them.

var (
	errTimedOut    = errors.New("timed out")
	errLost        = errors.New("the connection was closed")
	errPool        = errors.New("all connections are in use")
	errUnresolved  = errors.New("the server's name cannot be resolved")
	errTLS         = errors.New("the server does not speak TLS, or refuses ours")
	errUndone      = errors.New("the claim was undone before it came")
	errHandshake   = errors.New("the TLS handshake got no answer in time")
	errNoMaster    = errors.New("the sentinels know no server under the name in master_name")
	errCertificate = errors.New("the server's certificate is not trusted, or is for another name")
	errUnknown     = errors.New("the server's answer could not be read, or there is no server to ask")
	errServer      = errors.New("the server refuses with an error of its own")
	errNoEntry     = errors.New("the server has no value")
	errStandalone  = errors.New("url: must be redis://host:port/database, rediss:// for TLS, or unix:///path, with options that go-redis knows" + elsewhere)
	errSentinelURL = errors.New("url: must be redis://host:port?master_name=name&addr=host:port, with options that go-redis knows" + elsewhere)
	errClusterURL  = errors.New("url: must be redis://host:port?addr=host:port, with options that go-redis knows" + elsewhere)
	errNeedsMaster = errors.New("url: needs master_name")
	errUnknownMode = fmt.Errorf("mode: must be %s, %s or %s", Standalone, Sentinel, Cluster)
)

// elsewhere is where a password belongs that makes a URL unreadable, as one with a slash, a question mark or a percent sign does.
const elsewhere = "; a password goes into password or password_file"

// unavailable says that a step has failed because of Redis.
func unavailable(step string, err error) error {
	return fmt.Errorf("correlator/redis: %s: %w: %w", step, correlator.ErrUnavailable, worded(err))
}

// worded words an error in our own words.
func worded(err error) error {
	if isOurs(err) {
		return err
	}
	timeout, isNet := errors.AsType[net.Error](err)
	reply, isReply := errors.AsType[goredis.Error](err)
	switch {
	case errors.Is(err, goredis.Nil):
		return errNoEntry
	case isReply:
		return refusal(reply)
	case errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		return errTimedOut
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, goredis.ErrPoolTimeout), errors.Is(err, goredis.ErrPoolExhausted):
		return errPool
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, goredis.ErrClosed):
		return errLost
	}
	return wordedNet(err)
}

// isOurs reports whether an error was made by this package, or by correlator.
func isOurs(err error) bool {
	for _, ours := range []error{
		correlator.ErrUnavailable, errStarting, errUnproven, errMissed, errClosed, errUnsteady, errCrowded, errUnsubscribed, errWire, errForged, errHandshake, errNoMaster, errUndone,
		errUnbound,
	} {
		if errors.Is(err, ours) {
			return true
		}
	}
	return false
}

// wordedNet words errors of connecting, reading and writing.
func wordedNet(err error) error {
	if _, is := errors.AsType[*net.DNSError](err); is {
		return errUnresolved
	}
	op, isOp := errors.AsType[*net.OpError](err)
	errno, isErrno := errors.AsType[syscall.Errno](err)
	switch {
	case isErrno && isOp && op.Op == "dial":
		return fmt.Errorf("connect%s: %w", address(op.Addr), errno)
	case isErrno:
		return errno
	case isCertificate(err):
		return errCertificate
	case isOp && op.Op != "dial", isRecord(err):
		return errTLS // an alert is a "remote error" or a "local error"
	default:
		return errUnknown
	}
}

// address is an IP address with its port, after a blank; nothing where it is a name, which may come from a server.
func address(a net.Addr) string {
	if tcp, is := a.(*net.TCPAddr); is {
		return " to " + tcp.String()
	}
	return ""
}

func isRecord(err error) bool {
	_, is := errors.AsType[tls.RecordHeaderError](err)
	return is
}

func isCertificate(err error) bool {
	_, is := errors.AsType[*tls.CertificateVerificationError](err)
	return is
}

// refusal keeps what is the server's own text and quotes nothing, if it is one that servers are known to have: a sentence or a code. Whatever
// follows it may be quoted from us.
func refusal(reply goredis.Error) error {
	text := reply.Error()
	for _, s := range sentences() {
		if strings.HasPrefix(text, s.begins) {
			return &refused{s}
		}
	}
	code, _, _ := strings.Cut(text, " ")
	if !slices.Contains([]string{
		"ASK", "BUSY", "CLUSTERDOWN", "CROSSSLOT", "DENIED", "ERR", "EXECABORT", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOAUTH", "NOPERM",
		"NOREPLICAS", "NOSCRIPT", "OOM", "READONLY", "TRYAGAIN", "UNBLOCKED", "WRONGPASS", "WRONGTYPE",
	}, code) {
		return errServer
	}
	return fmt.Errorf("%w: %s", errServer, code)
}

// urlProblem words why a URL is not one for a mode.
func urlProblem(mode string, err error) error {
	if errors.Is(err, errNeedsMaster) {
		return err
	}
	switch mode {
	case Sentinel:
		return errSentinelURL
	case Cluster:
		return errClusterURL
	default:
		return errStandalone
	}
}

// isWhole reports whether a URL has its two slashes: without them the library takes the host for something else and connects to
// this machine, and what follows the scheme would not be known to hold a password.
func isWhole(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Opaque == ""
}
