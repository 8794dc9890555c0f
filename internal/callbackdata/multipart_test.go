package callbackdata_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/textproto"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"syncgate/internal/callbackdata"
	"syncgate/internal/wiretest"
)

const typeMultipart = "multipart/form-data; boundary=b"

// part is a part of a form: header lines without their ends, and a text.
func part(text string, lines ...string) string {
	return "--b\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n" + text + "\r\n"
}

func field(name, text string) string {
	return part(text, `Content-Disposition: form-data; name=`+name)
}

func TestCallbackMultipart(t *testing.T) {
	f := func(contentType, body, want string) {
		t.Helper()
		req := wiretest.Received(t, "POST", "/cb/t", body, "Content-Type: "+contentType)
		data, heard, err := callbackdata.Read(req)
		clear(req.Body()) // what was taken is a copy
		if err != nil || string(data) != want || string(heard) != "{}" {
			t.Errorf("%q\ngives %s, heard %s, %v\nwant  %s", body, data, heard, err, want)
		}
	}
	const end = "--b--"
	f(typeMultipart, field(`"a"`, "1")+end, `{"a":"1"}`)
	f(typeMultipart, end, `{}`)
	f(typeMultipart, field(`"a"`, "1")+field(`b`, "x=1&%20\r\n\r\n\"Олена\"\\\t")+field(`"a"`, "")+end+"\r\nepilogue", `{"a":["1",""],"b":"x=1&%20\r\n\r\n\"Олена\"\\\t"}`)
	f(typeMultipart, "\r\n"+field(`"a"`, "1")+end+"\r\n", `{"a":"1"}`)
	f(typeMultipart, "\ufeff"+field(`"a"`, "1")+end, `{"a":"1"}`)
	f(typeMultipart, "--b \t\r\nContent-Disposition: form-data; name=a\r\n\r\n--b--", `{"a":""}`) // an empty part without a line of its own
	f(typeMultipart, field(`"a"`, "x--b\r\n--bb\r\n--b-\r\n -b--")+end, `{"a":"x--b\r\n--bb\r\n--b-\r\n -b--"}`)
	f("Multipart/Form-Data; x=\"; boundary=c\"; BOUNDARY=\"b\"", field(`"a"`, "1")+end, `{"a":"1"}`)
	f(typeMultipart, part("1", "content-type: text/plain; charset=UTF-8", "CONTENT-DISPOSITION:Form-Data ; Name = \"a\" ; x=y", "X-Other: z", "Content-Transfer-Encoding: 8BIT")+end, `{"a":"1"}`)
	f(typeMultipart, part("{}", "Content-Type: application/json", `Content-Disposition: form-data; name="a"`)+end, `{"a":"{}"}`)
	// names, as browsers, curl and Go's own writer escape them
	f(typeMultipart, field(`"a%22\"\\%0D%0a;=%20\x"`, "1")+end, `{"a\"\"\\\r\n;=%20\\x":"1"}`)
	f(typeMultipart, field(`""`, "1")+end, `{"":"1"}`)
	f(typeMultipart, field(`"a%22"`, "1")+field(`"a\""`, "2")+end, `{"a\"":["1","2"]}`)

	g := func(body, problem string) {
		t.Helper()
		for _, contentType := range []string{typeMultipart, `multipart/form-data; boundary="b"`} {
			_, _, err := callbackdata.Read(wiretest.Received(t, "POST", "/cb/t", body, "Content-Type: "+contentType))
			wantError(t, err, problem)
		}
	}
	const first = "form: in the part at byte 5: "
	g(part("x", `Content-Disposition: form-data; name="a"; filename="x.txt"`)+end, first+"it is a file")
	g(part("x", `Content-Disposition: form-data; name="a"; filename=""`)+end, first+"it is a file")
	g(part("x", `Content-Disposition: form-data; filename*=UTF-8''x; name="a"`)+end, first+"it is a file")
	g(field(`"a"`, "1")+part("x", `Content-Disposition: form-data; name="b"; FILENAME=x`)+end, "form: in the part at byte 57: it is a file")
	g(part("x", `Content-Disposition: attachment; name="a"`)+end, first+"its Content-Disposition is not form-data")
	g(part("x", `Content-Disposition: form-data`)+end, first+"it has no name")
	g(part("x", `Content-Disposition: form-data; xname="a"`)+end, first+"it has no name")
	g(part("x", `Content-Disposition: form-data; name="a"; name="b"`)+end, first+"it has two names")
	g(part("x", `Content-Disposition: form-data; name="a`)+end, first+"the quotes of its name do not end")
	g(part("x", `Content-Disposition: form-data; name=a`, `Content-Disposition: form-data; name=b`)+end, first+"it has Content-Disposition twice")
	g(part("x", `X: y`)+end, first+"it has no Content-Disposition")
	g("--b\r\n\r\nx\r\n--b--", first+"it has no Content-Disposition")
	g(part("x", `no colon`)+end, first+"a header line has no name")
	g(part("x", `Content-Disposition: form-data; name=a;`, ` filename=a`)+end, first+"a header line has no name")
	g(part("eA==", `Content-Disposition: form-data; name=a`, `Content-Transfer-Encoding: base64`)+end, first+"its Content-Transfer-Encoding is not supported")
	g(part("x", `Content-Disposition: form-data; name=a`, `Content-Type: text/plain; charset=latin1`)+end, first+"its charset is not UTF-8")
	g(field("a", "1"), "form: a part has no end")
	g("preamble\r\n"+field("a", "1")+end, "form: it does not begin with its boundary")
	g("\n--b\nContent-Disposition: form-data; name=a\n\n1\r\n--b--", "form: it does not begin with its boundary")
	g("--b\nContent-Disposition: form-data; name=a\n\n1\n--b--", "form: a part has no end")
	g(field("a", "1")+"--b-", "form: a part has no end")
	g(field("a", "1")+"--b", "form: a part has no end")
	g("--b\r\nContent-Disposition: form-data; name=a", first+"its head does not end")
	g(field("a", "\xff")+end, "form: is not UTF-8")
	g(field("\"\xff\"", "")+end, "form: is not UTF-8")
	g(field("a", "\x00")+end, "form: at byte 47: control character")
	g(field("\"\x01\"", "")+end, "form: at byte 43: control character")
	g("--c\r\n", "at byte 1: invalid character") // no boundary of it
}

// formOf reads a form with the standard library; not ok: it has a file, or is none.
func formOf(body, boundary string) (form map[string][]string, ok bool) {
	form = make(map[string][]string)
	r := multipart.NewReader(strings.NewReader(body), boundary)
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) && err == io.EOF { //nolint:errorlint // others wrap it where the end is missing
			return form, true
		}
		if err != nil {
			return nil, false
		}
		text, err := io.ReadAll(p)
		_, parameters, bad := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
		if _, file := parameters["filename"]; err != nil || bad != nil || file || !utf8.Valid(text) {
			return nil, false
		}
		form[p.FormName()] = append(form[p.FormName()], string(text))
	}
}

// stringsOf gives what data has under each name.
func stringsOf(t *testing.T, data []byte) map[string][]string {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	form := make(map[string][]string)
	for name, value := range object {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, v := range list {
			form[name] = append(form[name], v.(string))
		}
	}
	return form
}

// FuzzMultipart holds forms to mime/multipart: what is taken gives the same there.
func FuzzMultipart(f *testing.F) {
	for _, body := range []string{
		field(`"a"`, "1") + field("b", "\r\n--bb") + field(`"a"`, "") + "--b--", "x\r\n--b\t\r\nContent-Disposition: form-data; name=\"a;b\"\r\n\r\n\r\n--b--\r\n", "--b--", "--b\r\n\r\n", "--b\r\nContent-Disposition:form-data;name=a;filename=\r\n\r\n\r\n--b--",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		data, _, err := callbackdata.Read(wiretest.Received(t, "POST", "/cb/t", body, "Content-Type: "+typeMultipart))
		if err != nil || !strings.Contains(body, "--b") || strings.ContainsAny(body, `%\*`) || strings.HasPrefix(body, "\ufeff") {
			return
		}
		want, ok := formOf(body, "b")
		if got := stringsOf(t, data); ok && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q gives %s, want %q", body, data, want)
		}
	})
}

// TestMultipartOfAnyShape writes forms with the standard library's writer and reads them.
func TestMultipartOfAnyShape(t *testing.T) {
	s := shapes{rand.New(rand.NewPCG(3, 4))} //nolint:gosec // the same forms in each run
	for range 3000 {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		want := make(map[string][]string)
		for range s.IntN(6) {
			s.field(t, w, want)
		}
		_ = w.Close()
		data, _, err := callbackdata.Read(wiretest.Received(t, "POST", "/cb/t", b.String(), "Content-Type: "+w.FormDataContentType()))
		if err != nil {
			t.Fatalf("%q: %v", b.String(), err)
		}
		if got := stringsOf(t, data); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q gives %s, want %q", b.String(), data, want)
		}
	}
}

// several gives up to three of these, one behind the other.
func (s shapes) several(from ...string) (all string) {
	for range s.IntN(4) {
		all += s.pick(from...)
	}
	return all
}

// field writes a field as browsers do, or as Go does.
func (s shapes) field(t *testing.T, w *multipart.Writer, want map[string][]string) {
	t.Helper()
	name := s.several("a", "b", `"`, `\`, " ", ";", "=", "ї")
	text := s.several("a", "\r\n", "--", w.Boundary(), `"`, `\`, "ї", "\n", "\r", "--"+w.Boundary(), "\t")
	if strings.Contains("\r\n"+text, "\r\n--"+w.Boundary()) {
		return
	}
	var p io.Writer
	var err error
	if s.IntN(2) == 0 {
		p, err = w.CreateFormField(name)
	} else {
		quoted := strings.NewReplacer(`"`, "%22", `\`, `\\`).Replace(name)
		p, err = w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + quoted + `"`}, "Content-Type": {"text/plain"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(p, text)
	want[name] = append(want[name], text)
}
