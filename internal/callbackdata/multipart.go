package callbackdata

import (
	"bytes"
	"errors"
	"fmt"
)

// Forms of multipart/form-data (RFC 7578; RFC 2046, 5.1). They are read as other forms are: offsets, no copies.

// multipart is such a form while it is read.
type multipart struct {
	form
	delimiter []byte // CRLF, two hyphens and the boundary
}

var lineEnd = []byte("\r\n")

// newMultipart reads a form if the body has a delimiter of it. Else it may be JSON under a wrong name.
func newMultipart(body, boundary []byte) (m multipart, ok bool) {
	m.delimiter = append([]byte("\r\n--"), boundary...)
	parts := bytes.Count(body, m.delimiter[len(lineEnd):])
	if len(boundary) == 0 || parts == 0 || !fits(body) {
		return m, false
	}
	m.form = newForm(body, parts, dispositionByte)
	m.plain = true
	return m, true
}

// read makes an object of strings of the form; a repeated name makes an array, where it came first.
func (m *multipart) read() ([]byte, error) {
	before, at, last := m.nextDelimiter(-len(lineEnd))           // as if a line had ended before the body
	if at >= 0 && len(trimBlanks(m.body[:max(before, 0)])) > 0 { // a form whose lines end otherwise would be one of no fields
		return nil, errors.New("form: it does not begin with its boundary")
	}
	for !last {
		if at < 0 {
			return nil, errors.New("form: a part has no end")
		}
		name, text, problem := m.head(at)
		if problem != "" {
			return nil, fmt.Errorf("form: in the part at byte %d: %s", at, problem)
		}
		var end int
		end, at, last = m.nextDelimiter(text - len(lineEnd)) // an empty part may have none of its own
		if err := m.add(name, spanOf(text, max(text, end))); err != nil {
			return nil, err
		}
	}
	return m.data()
}

// nextDelimiter finds the next line that is a delimiter: where the text before it ends, and what follows it begins; -1: there is none. The
// last one ends the form.
func (m *multipart) nextDelimiter(from int) (end, next int, last bool) {
	for {
		if from < 0 { // the body may begin with one
			if !bytes.HasPrefix(m.body, m.delimiter[-from:]) {
				from = 0
				continue
			}
		} else if i := bytes.Index(m.body[from:], m.delimiter); i >= 0 {
			from += i
		} else {
			return len(m.body), -1, false
		}
		behind := from + len(m.delimiter)
		rest := m.body[behind:]
		if bytes.HasPrefix(rest, []byte("--")) {
			return from, behind, true
		}
		padding := len(rest) - len(bytes.TrimLeft(rest, " \t"))
		if bytes.HasPrefix(rest[padding:], lineEnd) {
			return from, behind + padding + len(lineEnd), false
		}
		from = behind // a longer word that begins as the delimiter does
	}
}

// head reads the header lines of the part that begins at i, and gives the name of its field and where its text begins.
func (m *multipart) head(i int) (name span, text int, problem string) {
	named := false
	for {
		n := bytes.Index(m.body[i:], lineEnd)
		switch {
		case n < 0:
			return name, 0, "its head does not end"
		case n == 0 && !named:
			return name, 0, "it has no Content-Disposition"
		case n == 0:
			return name, i + len(lineEnd), ""
		}
		line := m.body[i : i+n]
		colon := bytes.IndexByte(line, ':')
		switch {
		case colon < 0 || isBlank(line[0]):
			return name, 0, "a header line has no name"
		case isName(line[:colon], "content-disposition") && named:
			return name, 0, "it has Content-Disposition twice"
		case isName(line[:colon], "content-disposition"):
			named = true
			name, problem = m.disposition(i+colon+1, i+n)
		default:
			problem = partProblem(line[:colon], trimBlanks(line[colon+1:]))
		}
		if problem != "" {
			return name, 0, problem
		}
		i += n + len(lineEnd)
	}
}

// partProblem says what is wrong with a header of a part.
func partProblem(name, value []byte) string {
	switch {
	case isName(name, "content-transfer-encoding"):
		if !isName(value, "7bit") && !isName(value, "8bit") && !isName(value, "binary") {
			return "its Content-Transfer-Encoding is not supported"
		}
	case isName(name, "content-type"):
		if charset, ok := parameter(value, "charset"); ok && !isUTF8(charset) && !isASCII(charset) {
			return "its charset is not UTF-8"
		}
	}
	return ""
}

// disposition reads form-data; name="x", and gives the name. A part with a filename is a file.
func (m *multipart) disposition(start, end int) (name span, problem string) {
	value := m.body[start:end]
	p, more := parameters{value, 0}, true
	if kind := p.next(); !isName(trimBlanks(kind.of(value)), "form-data") {
		return name, "its Content-Disposition is not form-data"
	}
	for named := false; more; {
		var which, text span
		which, text, more = p.pair()
		switch spelled := which.of(value); {
		case isName(spelled, "filename"), isName(spelled, "filename*"):
			return name, "it is a file"
		case isName(spelled, "name") && named:
			return name, "it has two names"
		case isName(spelled, "name"):
			named = true
			if name = spanOf(start+int(text.start), start+int(text.end)); text.start < text.end && value[text.start] == '"' {
				return name, "the quotes of its name do not end"
			}
		case !more && !named:
			return name, "it has no name"
		}
	}
	return name, ""
}

// dispositionByte decodes what begins at i of a name between quotes: browsers escape a quote and line ends by percent, others by a
// backslash.
func dispositionByte(s []byte, i int) (c byte, next int) {
	switch rest := s[i:]; {
	case len(rest) >= 2 && rest[0] == '\\' && (rest[1] == '"' || rest[1] == '\\'):
		return rest[1], i + 2
	case len(rest) >= 3 && rest[0] == '%':
		switch {
		case string(rest[1:3]) == "22":
			return '"', i + 3
		case isName(rest[1:3], "0d"):
			return '\r', i + 3
		case isName(rest[1:3], "0a"):
			return '\n', i + 3
		}
	}
	return s[i], i + 1
}
