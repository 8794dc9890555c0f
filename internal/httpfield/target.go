package httpfield

import "bytes"

// RawPath gives the path of a request target as it came, without its query and without the scheme and authority of the absolute form:
// fasthttp's own Path decodes and normalises, and signatures are over what was sent.
func RawPath(target []byte) []byte {
	if len(target) > 0 && target[0] != '/' {
		if _, rest, ok := bytes.Cut(target, []byte("://")); ok {
			end := bytes.IndexAny(rest, "/?")
			if end < 0 || rest[end] == '?' {
				return []byte("/")
			}
			target = rest[end:]
		}
	}
	path, _, _ := bytes.Cut(target, []byte("?"))
	return path
}
