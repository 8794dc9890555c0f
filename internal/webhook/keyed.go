package webhook

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what the senders sign with; as an HMAC, or around a secret, it is not broken
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

func algorithms() map[string]func() hash.Hash {
	return map[string]func() hash.Hash{
		"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New, "sha3-256": func() hash.Hash { return sha3.New256() },
	}
}

func algorithmNames() []string { return slices.Sorted(maps.Keys(algorithms())) }

// mostSignatures is how many signatures a request may have: each is compared with that of each secret.
const mostSignatures = 16

// keyed is a digest with a secret.
type keyed struct {
	v         Verify
	signed    template
	keys      [][]byte
	newHash   func() hash.Hash
	url       string
	urlQuery  bool // the query of the request belongs to the URL that is signed
	plain     bool // the secret stands in the text
	needsForm bool
}

func newKeyed(v Verify) (*keyed, error) {
	signed, err := parseTemplate(v.Signed)
	if err != nil {
		return nil, err
	}
	k := &keyed{v: v, signed: signed, newHash: algorithms()[v.Algorithm], plain: signed.has(partSecret), url: string(v.URL)}
	k.urlQuery = signed.has(partURL) && !strings.Contains(k.url, "?")
	k.needsForm = v.Field != "" || signed.has(partField) || signed.has(partForm)
	for _, s := range v.allSecrets() {
		key, err := keyOf(s, v.SecretFormat)
		if err != nil {
			return nil, err
		}
		k.keys = append(k.keys, key)
	}
	return k, nil
}

// claim is what a request says of itself.
type claim struct {
	fields     []field
	values     []string // of the headers in the template, in its order
	signatures []string // without their prefix, encoded
	stamp      string
	problem    string // the first one
}

func (c *claim) note(problem string) { c.problem = cmp.Or(c.problem, problem) }

// check computes the digest with every secret and compares it with every signature, whatever else is wrong: time says nothing.
func (k *keyed) check(req *fasthttp.Request, _ netip.Addr, now time.Time) (problem string) {
	c := k.claimOf(req)
	k.checkStamp(c, now)
	k.checkCovered(c, req)
	got := k.decoded(c.signatures)
	message := k.message(c, req)
	right := 0
	for _, key := range k.keys {
		sum := k.sum(key, message)
		for _, s := range got {
			right |= subtle.ConstantTimeCompare(sum, s)
		}
	}
	if right != 1 {
		c.note("no signature is that of the request with any of the secrets")
	}
	return c.problem
}

// claimOf reads what the digest needs.
func (k *keyed) claimOf(req *fasthttp.Request) *claim {
	c := new(claim)
	if k.needsForm && (k.v.Field != "" || k.signed.has(partField) || isForm(req)) {
		fields, err := fieldsOf(req.Header.ContentType(), bytes.TrimPrefix(req.Body(), []byte("\ufeff")))
		if err != nil {
			c.note("the body: " + err.Error())
		}
		c.fields = fields
	}
	where := part{partHeader, k.v.Header}
	if k.v.Field != "" {
		where = part{partField, k.v.Field}
	}
	value, problem := valueOf(where, c, req)
	c.note(problem)
	c.signatures, c.stamp, problem = splitSignatures(value, k.v.Separator, k.v.Prefix, k.v.TimestampPrefix)
	c.note(problem)
	if k.v.TimestampHeader != "" {
		c.stamp, problem = header(req, k.v.TimestampHeader)
		c.note(problem)
	}
	for _, p := range k.signed {
		if p.kind == partHeader || p.kind == partField {
			value, problem := valueOf(p, c, req)
			c.note(problem)
			c.values = append(c.values, value)
		}
	}
	return c
}

// valueOf gives the value of a header or field of the template.
func valueOf(p part, c *claim, req *fasthttp.Request) (value, problem string) {
	if p.kind == partHeader {
		return header(req, p.text)
	}
	value, ok := only(c.fields, p.text)
	if !ok {
		problem = "the form has no field " + p.text + ", or several"
	}
	return value, problem
}

// splitSignatures reads a header such as t=1,v1=ab,v1=cd, or v1,ab v1,cd: the signatures that have the prefix, without it, and what stands behind the
// prefix of the timestamp where that is not empty. Items of other schemes are skipped. Without a separator the value is one item.
func splitSignatures(value, separator, prefix, stampPrefix string) (signatures []string, stamp, problem string) {
	items := []string{value}
	if separator != "" {
		items = strings.SplitN(value, separator, mostItems+1)
	}
	if len(items) > mostItems {
		return nil, "", fmt.Sprintf("there are more than %d items where the signature stands", mostItems)
	}
	stamped := false
	for _, item := range items {
		item = strings.Trim(item, " \t")
		if text, ok := strings.CutPrefix(item, stampPrefix); ok && stampPrefix != "" {
			if stamped {
				return nil, "", "there is more than one timestamp"
			}
			stamp, stamped = text, true
			continue
		}
		if text, ok := strings.CutPrefix(item, prefix); ok && text != "" {
			signatures = append(signatures, text)
		}
	}
	switch {
	case stampPrefix != "" && !stamped:
		problem = "the timestamp is missing"
	case len(signatures) == 0:
		problem = "there is no signature with the prefix that is configured"
	case len(signatures) > mostSignatures:
		signatures, problem = nil, fmt.Sprintf("there are more than %d signatures", mostSignatures)
	}
	return signatures, stamp, problem
}

// mostItems is how many items the value of a signature's header may have: signatures, a timestamp, and those of other schemes.
const mostItems = 2 * mostSignatures

// decoded gives the bytes of signatures; what is not encoded as configured is left out.
func (k *keyed) decoded(signatures []string) (all [][]byte) {
	for _, s := range signatures {
		decode := decodeBase64
		if k.v.Encoding == encodingHex {
			decode = decodeHex
		}
		if raw, err := decode([]byte(s)); err == nil {
			all = append(all, raw)
		}
	}
	return all
}

func decodeHex(text []byte) ([]byte, error) { return hex.AppendDecode(nil, text) }

// checkStamp wants a timestamp that is near to the clock, if there is to be one.
func (k *keyed) checkStamp(c *claim, now time.Time) {
	if k.v.TimestampHeader == "" && k.v.TimestampPrefix == "" {
		return
	}
	seconds, err := strconv.ParseUint(c.stamp, 10, 63)
	if err != nil {
		c.note("the timestamp is not in Unix seconds")
		return
	}
	at := time.Unix(int64(seconds), 0)
	if d := now.Sub(at).Abs(); d > k.v.Tolerance {
		c.note(fmt.Sprintf("the timestamp is %v from the clock, and may be %v", d.Round(time.Second), k.v.Tolerance))
	}
}

// checkCovered wants that the signed text covers what will be read: the query of a GET, and of others the body. Where that is signed as a form, it
// must be one, empty, or have its digest in the query, which is signed with the URL.
func (k *keyed) checkCovered(c *claim, req *fasthttp.Request) {
	body := bytes.TrimLeft(req.Body(), " \t\r\n\ufeff")
	switch {
	case req.Header.IsGet() && !k.urlQuery:
		c.note("the query of a GET is not signed")
		return
	case !k.signed.has(partForm) || k.signed.has(partBody) || len(req.Body()) == 0:
		return
	case isForm(req) && (len(body) == 0 || body[0] != '{' && body[0] != '['): // else it would be read as JSON
		return
	case k.v.BodyDigest == "" || !k.urlQuery:
		c.note("the body is not a form, and nothing else of it is signed")
		return
	}
	query, _ := fieldsOf(nil, queryOf(req))
	text, ok := only(query, k.v.BodyDigest)
	want, err := decodeHex([]byte(text))
	sum := sha256.Sum256(req.Body())
	if !ok || err != nil || subtle.ConstantTimeCompare(sum[:], want) != 1 {
		c.note("the body is not a form, and its digest is not in the query")
	}
}

// message gives the parts of the signed text, in order, with nothing in the place of the secret.
func (k *keyed) message(c *claim, req *fasthttp.Request) (parts [][]byte) {
	values := c.values
	for _, p := range k.signed {
		text := []byte{}
		switch p.kind {
		case partText:
			text = []byte(p.text)
		case partBody:
			text = req.Body()
		case partTimestamp:
			text = []byte(c.stamp)
		case partURL:
			text = []byte(k.url)
			if query := queryOf(req); len(query) > 0 && k.urlQuery {
				text = append(append(text, '?'), query...)
			}
		case partForm:
			text = appendSorted(text, c.fields)
		case partSecret:
		case partField, partHeader:
			text, values = []byte(values[0]), values[1:]
		}
		parts = append(parts, text)
	}
	return parts
}

// sum computes the digest of a message with a key.
func (k *keyed) sum(key []byte, message [][]byte) []byte {
	var h hash.Hash
	if k.plain {
		h = k.newHash()
	} else {
		h = hmac.New(k.newHash, key)
	}
	for i, text := range message {
		if k.signed[i].kind == partSecret {
			text = key
		}
		h.Write(text)
	}
	return h.Sum(nil)
}
