// Package signer is how requests are signed: the scheme, the secrets, and who holds which.
//
// It is pure: it knows no HTTP and has no clock of its own.
package signer

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the protocol's hash; it cannot be chosen here
	"encoding/hex"
	"errors"
	"strconv"
	"time"
)

// SignatureLen is the length of a signature in characters.
const SignatureLen = 2 * sha1.Size

// ErrTime says that a request's time is malformed or further from now than the window allows.
var ErrTime = errors.New("signer: time is outside the window")

// AppendSignature appends the signature of a request: hex(sha1(stamp + secret + body + secret)), lower case.
// stamp is the text that stands as time in the request's path, byte for byte; body is the raw body. It does not allocate
// when dst has room. (The scheme is documented by Corezoid for its API versions 1 and 2; it is not an HMAC.)
func AppendSignature(dst, stamp, secret, body []byte) []byte {
	sum := digest(stamp, secret, body)
	return hex.AppendEncode(dst, sum[:])
}

func digest(stamp, secret, body []byte) (sum [sha1.Size]byte) {
	h := sha1.New() //nolint:gosec // see the import
	h.Write(stamp)
	h.Write(secret)
	h.Write(body)
	h.Write(secret)
	h.Sum(sum[:0])
	return sum
}

// farFuture has more digits of seconds than any time that a window could reach; more digits would overflow.
const farFuture = 12

// CheckTime reports as ErrTime a request time that is not within window of now, or that is not a time: Unix seconds as
// digits with an optional fraction, without sign or space. A window of 0 is off: then the time is not looked at at all.
func CheckTime(raw []byte, now time.Time, window time.Duration) error {
	if window == 0 {
		return nil
	}
	whole, fraction, dotted := bytes.Cut(raw, []byte{'.'})
	if !digits(whole) || dotted && !digits(fraction) {
		return ErrTime
	}
	whole = bytes.TrimLeft(whole, "0")
	if len(whole) > farFuture {
		return ErrTime
	}
	skew := now.Sub(time.Unix(number(whole), nanoseconds(fraction)))
	if skew > window || skew < -window {
		return ErrTime
	}
	return nil
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// number reads at most 18 digits; none are 0.
func number(b []byte) (n int64) {
	for _, c := range b {
		n = 10*n + int64(c-'0')
	}
	return n
}

// nanoseconds reads the digits of a fraction; what is finer than a nanosecond is dropped.
func nanoseconds(fraction []byte) int64 {
	const places = 9
	n := number(fraction[:min(len(fraction), places)])
	for range places - len(fraction) {
		n *= 10
	}
	return n
}

// AppendTime appends t as requests are signed with it: Unix seconds.
func AppendTime(dst []byte, t time.Time) []byte {
	return strconv.AppendInt(dst, t.Unix(), 10)
}
