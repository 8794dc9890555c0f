package enginesim_test

import (
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"syncgate/internal/enginesim"
)

const okAnswer = `{"request_proc":"ok","ops":[{"id":"","proc":"ok","obj":"task","ref":"r-1","obj_id":"T"}]}`

// behave posts a task that asks for ack, and gives what came back with task ids made equal.
func behave(t *testing.T, e *enginesim.Engine, g *gateway, ack enginesim.Ack) (*http.Response, string, error) {
	t.Helper()
	resp, body, err := try(e, g.create(`,"__sim":{"ack":"`+string(ack)+`"}`))
	return resp, regexp.MustCompile(`[0-9a-f]{24}`).ReplaceAllString(body, "T"), err
}

type ackWant struct {
	status  int // 0: no complete HTTP answer
	body    string
	noTask  bool
	failure string // of the exchange
}

// Every Ack gives the answer that it stands for, and leaves a task behind or none.
func TestAcks(t *testing.T) {
	table := map[enginesim.Ack]ackWant{
		enginesim.AckOK:           {status: 200, body: okAnswer},
		enginesim.AckReversed:     {status: 200, body: okAnswer},
		enginesim.AckObject:       {status: 200, body: strings.NewReplacer("[", "", "]", "").Replace(okAnswer)},
		enginesim.AckNotUnicalRef: {status: 200, noTask: true, body: `{"request_proc":"ok","ops":[{"id":"","proc":"not_unical_ref","description":"not unical reference"}]}`},
		enginesim.AckAccessDenied: {status: 200, noTask: true, body: `{"request_proc":"ok","ops":[{"id":"","proc":"access_denied","description":"user: 12345, conv_id: 7"}]}`},
		enginesim.AckNotActive:    {status: 200, noTask: true, body: `{"request_proc":"ok","ops":[{"id":"","proc":"conveyor_is_not_active","description":"conveyor is not active"}]}`},
		enginesim.AckUnanswered:   {status: 200, body: `{"request_proc":"ok","ops":[]}`},
		enginesim.AckFormatError:  {status: 200, noTask: true, body: `{"request_proc":"format_error","ops":[]}`},
		enginesim.AckHTTP400:      {status: 400, noTask: true, body: `{"request_proc":"error","ops":[{"proc":"error","description":"Incorrect body"}]}`},
		enginesim.AckHTTP500:      {status: 500, body: "Internal Server Error"},
		enginesim.AckHTML502:      {status: 502, body: "<html><body><h1>502 Bad Gateway</h1></body></html>"},
		enginesim.AckHTML200:      {status: 200, body: "<html><body>Please log in</body></html>"},
		enginesim.AckEmpty:        {status: 200},
		enginesim.AckRedirect:     {status: 302},
		enginesim.AckReset:        {failure: "connection reset"},
		enginesim.AckTruncated:    {failure: "unexpected EOF"},
		enginesim.AckSlow:         {status: 200, body: okAnswer},
		enginesim.AckBadChunks:    {failure: "invalid byte in chunk length"},
		enginesim.AckNotHTTP:      {failure: "malformed HTTP response"},
		enginesim.AckClose:        {status: 200, body: okAnswer},
	}
	for _, ack := range enginesim.Acks() {
		if ack == enginesim.AckHang {
			continue // TestHang
		}
		t.Run(string(ack), func(t *testing.T) {
			want, listed := table[ack]
			if !listed {
				t.Fatal("not in the table")
			}
			testAck(t, ack, want)
		})
	}
}

func testAck(t *testing.T, ack enginesim.Ack, want ackWant) {
	t.Helper()
	e, g := start(t, nil), listen(t, nil)
	resp, body, err := behave(t, e, g, ack)
	switch {
	case want.failure != "":
		if err == nil || !strings.Contains(err.Error(), want.failure) {
			t.Errorf("got %v, want %q", err, want.failure)
		}
	case err != nil:
		t.Errorf("got %v", err)
	case resp.StatusCode != want.status || body != want.body:
		t.Errorf("answered %d %s, want %d %s", resp.StatusCode, body, want.status, want.body)
	}
	if !want.noTask {
		if got := g.next(t).body; got != "{}" {
			t.Errorf("callback says %s", got)
		}
	}
	s := e.Stats()
	if want.noTask && s.Tasks+s.Pending != 0 {
		t.Errorf("tasks or slots are left: %+v", s)
	}
	if refused := want.noTask && strings.Contains(want.body, `"id":`); (s.OpErrors > 0) != refused {
		t.Errorf("counted %+v", s)
	}
}

// A hanging answer never comes, and the task is called back nevertheless.
func TestHang(t *testing.T) {
	e, g := start(t, nil), listen(t, nil)
	conn := dial(t, e)
	body := g.create(`,"__sim":{"ack":"hang"}`)
	send(t, conn, body)
	g.next(t)
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || !isTimeout(err) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func send(t *testing.T, conn net.Conn, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://engine"+path(body), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
}

// In a package each op has its own answer, and the first that spoils the HTTP answer decides on that.
func TestMultiOp(t *testing.T) {
	e := start(t, nil)
	f := func(acks []string, wantStatus int, want string) {
		t.Helper()
		var ops []string
		for i, ack := range acks {
			ops = append(ops, `{"type":"create","obj":"task","id":`+string(rune('0'+i))+`,"data":{"__sim":{"ack":"`+ack+`"}}}`)
		}
		before := e.Stats().Tasks
		status, body := post(t, e, `{"ops":[`+strings.Join(ops, ",")+`]}`)
		got := ""
		for _, m := range regexp.MustCompile(`"id":(.),"proc":"(\w)`).FindAllStringSubmatch(body, -1) {
			got += m[1] + m[2] + " "
		}
		if status != wantStatus || got != want {
			t.Errorf("%v: %d %s, want %d %s", acks, status, got, wantStatus, want)
		}
		if made := e.Stats().Tasks - before; status == 400 && made != 0 {
			t.Errorf("%v: the package was refused and made %d tasks", acks, made)
		}
	}
	f([]string{"ok", "not_unical_ref", "ok"}, 200, "0o 1n 2o ")
	f([]string{"reversed", "ok", "access_denied"}, 200, "2a 1o 0o ")
	f([]string{"ok", "unanswered", "ok"}, 200, "0o 2o ")
	f([]string{"object", "ok"}, 200, "0o 1o ")
	f([]string{"ok", "http_500", "http_400"}, 500, "")
	f([]string{"unanswered", "http_400"}, 400, "")
}

// The engine's own behaviour holds for tasks that do not choose one, and for packages without any.
func TestEngineWideAck(t *testing.T) {
	e, g := start(t, func(c *enginesim.Config) { c.Behaviour.Ack = enginesim.AckHTTP500 }), listen(t, nil)
	f := func(body string, want int) {
		t.Helper()
		if status, _ := post(t, e, body); status != want {
			t.Errorf("%s: %d, want %d", body, status, want)
		}
	}
	f(g.create(""), 500)
	f(`{"ops":[{"type":"modify","obj":"task"}]}`, 500)
	f(g.create(`,"__sim":{"ack":"ok"}`), 200)
}

func TestSteerOff(t *testing.T) {
	e, g := start(t, func(c *enginesim.Config) { c.Steer = false }), listen(t, nil)
	if status, _ := post(t, e, g.create(`,"__sim":{"ack":"http_500","no":"such"}`)); status != 200 {
		t.Errorf("steered: %d", status)
	}
	g.next(t)
}
