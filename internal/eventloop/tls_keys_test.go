package eventloop_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"
	"testing"

	"syncgate/internal/eventloop"
)

const (
	typeHandshake = 22
	typeData      = 23
)

// sealer writes records of TLS 1.3 (RFC 8446, 5.2 and 7) in the place of a client's crypto/tls, which cannot be made to
// change its keys.
type sealer struct {
	t      *testing.T
	hash   func() hash.Hash
	keyLen int
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// newSealer takes the client's secret from what crypto/tls has logged. Nothing may have been written under it.
func newSealer(t *testing.T, log string, suite uint16) *sealer {
	t.Helper()
	s := &sealer{t: t}
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
		s.hash, s.keyLen = sha256.New, 16
	case tls.TLS_AES_256_GCM_SHA384:
		s.hash, s.keyLen = sha512.New384, 32
	default:
		t.Fatalf("cannot write with %s", tls.CipherSuiteName(suite))
	}
	for line := range strings.Lines(log) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(words[2])
			if err != nil {
				t.Fatal(err)
			}
			s.use(secret)
			return s
		}
	}
	t.Fatal("crypto/tls has logged no secret")
	return nil
}

// expand is HKDF-Expand-Label without a context.
func (s *sealer) expand(secret []byte, label string, length int) []byte {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(length)) //nolint:gosec // short
	info = append(append(info, byte(len(label))), label...)    //nolint:gosec // short
	out, err := hkdf.Expand(s.hash, secret, string(append(info, 0)), length)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *sealer) use(secret []byte) {
	block, err := aes.NewCipher(s.expand(secret, "key", s.keyLen))
	if err != nil {
		s.t.Fatal(err)
	}
	if s.aead, err = cipher.NewGCM(block); err != nil {
		s.t.Fatal(err)
	}
	s.secret, s.iv, s.seq = secret, s.expand(secret, "iv", 12), 0
}

// seal gives a record.
func (s *sealer) seal(content byte, text []byte) []byte {
	inner := append(bytes.Clone(text), content)
	record := []byte{typeData, 3, 3}
	record = binary.BigEndian.AppendUint16(record, uint16(len(inner)+s.aead.Overhead())) //nolint:gosec // short
	nonce := bytes.Clone(s.iv)
	for i, b := range binary.BigEndian.AppendUint64(nil, s.seq) {
		nonce[4+i] ^= b
	}
	s.seq++
	return s.aead.Seal(record, nonce, inner, record)
}

// update gives a KeyUpdate, which asks for one in return, and changes the keys.
func (s *sealer) update() []byte {
	record := s.seal(typeHandshake, []byte{24, 0, 0, 1, 1})
	s.use(s.expand(s.secret, "traffic upd", s.hash().Size()))
	return record
}

// sealed is a connection whose client's records a test makes.
func sealed(t *testing.T, g *eventloop.Group, h *handOver) (secured, *sealer) {
	t.Helper()
	server, client := tlsConfigs(t)
	log := new(bytes.Buffer)
	client.KeyLogWriter = log
	one := tlsPair(t, g, h, server, client, true)
	h.quiet(t)
	return one, newSealer(t, log.String(), one.peer.ConnectionState().CipherSuite)
}

// TestTLSKeyUpdate: the peer changes its keys, between data, alone, and cut in two, and has us change ours.
func TestTLSKeyUpdate(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		h := newHandOver(t)
		one, s := sealed(t, g, h)
		say := func(p ...[]byte) {
			if _, err := one.wire.Conn.Write(bytes.Join(p, nil)); err != nil {
				t.Fatal(err)
			}
		}
		answer := func(o eventloop.Owner) {
			if done, err := o.Write([]byte("answer")); !done || err != nil {
				t.Fatal(done, err)
			}
			wantPeerReads(t, one.peer, "answer") // with the keys of before or of now
			o.Release(never())
		}
		say(s.seal(typeData, []byte("before ")), s.update(), s.seal(typeData, []byte("after")))
		got := h.next(t)
		wantRead(t, got.o, 100, "before after", nil)
		answer(got.o)
		say(s.update())
		got = h.next(t)
		wantRead(t, got.o, 100, "", eventloop.ErrWouldBlock)
		if got.o.Pending() > 0 {
			t.Error("our own change of keys is pending")
		}
		answer(got.o)
		record := s.update()
		say(record[:9])
		got = h.next(t)
		wantRead(t, got.o, 100, "", eventloop.ErrWouldBlock)
		got.o.Release(never())
		say(record[9:], s.seal(typeData, []byte("end")))
		got = h.next(t)
		wantRead(t, got.o, 100, "end", nil)
		answer(got.o)
		shut(t, one.c)
	})
}

// TestTLSKeyUpdates is a peer that asks for changes of keys on and on, and does not read the answers: they are not piled up.
func TestTLSKeyUpdates(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		h := newHandOver(t)
		one, s := sealed(t, g, h)
		flood := make(chan bool)
		go func() {
			defer close(flood)
			s.flood(one.wire.Conn)
		}()
		p := make([]byte, 16<<10)
		var err error
		for err == nil || errors.Is(err, eventloop.ErrWouldBlock) {
			got := h.next(t)
			_, err = got.o.Read(p)
			if n := got.o.Pending(); n > 32<<10 {
				t.Fatalf("%d bytes are pending", n)
			}
			got.o.Release(never())
		}
		if !strings.Contains(err.Error(), "reads nothing") {
			t.Errorf("the end is %v", err)
		}
		shut(t, one.c)
		<-flood
	})
}

// flood asks for changes of keys until the connection ends.
func (s *sealer) flood(w io.Writer) {
	for {
		var p []byte
		for range 100 {
			p = append(append(p, s.update()...), s.seal(typeData, []byte("x"))...)
		}
		if _, err := w.Write(p); err != nil {
			return
		}
	}
}
