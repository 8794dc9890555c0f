package corezoid_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/internal/wiretest"
)

// TestTrips plays whole trips, one a file in testdata/trips: what the client sends, what the engine gets and says, what the
// process calls back with and hears, what the client reads. The sections of a file, in the order of the trip:
//
//	request              the client's body; lines of the file's comment such as "header: X-Id: 7" or "forward: x-id" change it
//	engine               what the engine gets, callback URLs written as <0>, <1>, …, ids that ops got as <id 0>, <id 1>, …
//	ack STATUS           the engine's answer
//	callback N TYPE      a callback for op N
//	heard N              what it is answered
//	reply STATUS         what the client reads; "open: deadline" and the like in the comment says why ops are open
//
// go test -run TestTrips -update writes engine, heard and reply anew.
func TestTrips(t *testing.T) {
	const dir = "testdata/trips"
	files, err := fs.Glob(os.DirFS(dir), "*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(name, ".txt"), func(t *testing.T) {
			text, err := fs.ReadFile(os.DirFS(dir), name)
			if err != nil {
				t.Fatal(err)
			}
			got := new(trip).play(t, parse(string(text)))
			if *update {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("got\n%s\nwant\n%s", got, text)
			}
		})
	}
}

// section is a part of a file: its text follows the line "-- name --". The first one has no name.
type section struct{ name, text string }

func parse(file string) (sections []section) {
	sections = append(sections, section{})
	for line := range strings.Lines(file) {
		name, ok := strings.CutPrefix(line, "-- ")
		if name, end := strings.CutSuffix(name, " --\n"); ok && end {
			sections = append(sections, section{name: name})
			continue
		}
		sections[len(sections)-1].text += line
	}
	return sections
}

var update = flag.Bool("update", false, "write the golden files anew")

// trip is one that is played.
type trip struct {
	d      *corezoid.Dialect
	call   *dialect.Call
	fault  error
	whole  *dialect.Ack
	status int // of the engine's answer
	reply  dialect.Reply
	heard  []byte
}

// play gives the script as it turned out.
func (p *trip) play(t *testing.T, script []section) string {
	t.Helper()
	headers := p.begin(t, script[0].text)
	played := new(strings.Builder)
	played.WriteString(script[0].text)
	for _, s := range script[1:] {
		name, args, _ := strings.Cut(s.name, " ")
		in := strings.TrimSuffix(s.text, "\n")
		switch name {
		case "request":
			if p.call, p.fault = accept(t, p.d, in, headers...); p.fault == nil {
				p.reply.Finals = none(p.call)
			}
		case "engine":
			s.text = forwarded(t, p.d, p.call) + "\n"
		case "ack":
			p.ack(t, args, in)
		case "callback":
			p.callback(t, args, in)
		case "heard":
			s.text = string(p.heard) + "\n"
		case "reply":
			status, body := p.answer()
			s = section{fmt.Sprintf("reply %d", status), body + "\n"}
		default:
			t.Fatalf("what is %s?", s.name)
		}
		fmt.Fprintf(played, "-- %s --\n%s", s.name, s.text)
	}
	return played.String()
}

// begin reads the settings in the comment of a script.
func (p *trip) begin(t *testing.T, comment string) (headers []string) {
	t.Helper()
	var forward []string
	for line := range strings.Lines(comment) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "header":
			headers = append(headers, value)
		case "forward":
			forward = strings.Split(value, ", ")
		case "open":
			p.reply.Open = map[string]error{
				"deadline": correlator.ErrDeadline, "draining": correlator.ErrDraining, "pending": dialect.ErrPending,
			}[value]
		}
	}
	p.d = newDialect(t, func(c *corezoid.Config) { c.ForwardHeaders = forward })
	return headers
}

func (p *trip) ack(t *testing.T, status, body string) {
	t.Helper()
	p.status, _ = strconv.Atoi(status)
	ack, err := p.d.Ack(p.call, p.status, nil, []byte(ided(p.call).Replace(body)))
	switch {
	case errors.Is(err, dialect.ErrForeignAnswer): // the client waits on
	case err != nil:
		p.reply.Open = dialect.ErrBadGateway
	case ack.Package != nil:
		p.whole = &ack
	}
	for _, cb := range ack.Finals {
		p.reply.Finals[cb.Op] = cb
	}
}

func (p *trip) callback(t *testing.T, args, body string) {
	t.Helper()
	op, contentType, _ := strings.Cut(args, " ")
	n, err := strconv.Atoi(op)
	if err != nil {
		t.Fatal(err)
	}
	req := wiretest.Received(t, "POST", "/api/1/plugins/callback/token?conv_signature=x&conv_time=1&conv_id=2", body, "Content-Type: "+contentType)
	cb, heard, err := p.d.Callback(req, n)
	if err != nil {
		t.Fatal(err)
	}
	if p.reply.Finals[n].Status == correlator.Open {
		p.reply.Finals[n] = cb
	}
	p.heard = heard
}

func (p *trip) answer() (status int, body string) {
	var fault *dialect.Fault
	switch {
	case errors.As(p.fault, &fault):
		var dst fasthttp.Response
		p.d.Refuse(&dst, fault, "")
		return dst.StatusCode(), string(dst.Body())
	case p.whole != nil:
		return p.status, string(p.whole.Package)
	}
	return answer(p.d, p.call, &p.reply)
}

// TestDocs plays the trip that the documentation shows, from its code blocks.
func TestDocs(t *testing.T) {
	const name = "../../docs/dialects/corezoid.md"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	shown := []section{{}}
	for block := range strings.SplitSeq(string(text), "\n```json ") {
		head, code, _ := strings.Cut(block, "\n")
		if code, _, ok := strings.Cut(code, "```\n"); ok && !strings.HasPrefix(head, "#") {
			shown = append(shown, section{head, strings.NewReplacer(callbackURL+"TOKEN", "<0>", `"ID"`, `"<id 0>"`).Replace(code)})
		}
	}
	want := ""
	for _, s := range shown[1:] {
		want += "-- " + s.name + " --\n" + s.text
	}
	if got := new(trip).play(t, shown); got != want || len(shown) != 6 {
		t.Errorf("%d blocks; got\n%s\nshown\n%s", len(shown)-1, got, want)
	}
	if signature := "1f161b4d187ba9864d65bcb941c0ec9d4022fad9"; !strings.Contains(string(text), "    # "+signature) {
		t.Errorf("the example of a signature is not %s", signature)
	}
}
