package main_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// TestReceiversOfThePage has the receivers of docs/notifications.md refuse what is not genuine, and drop repeats.
func TestReceiversOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/notifications.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range map[string]string{"receiver.py": "python3", "receiver.mjs": "node"} {
		t.Run(name, func(t *testing.T) {
			m := regexp.MustCompile("(?s)<!-- test: " + regexp.QuoteMeta(name) + " -->\n```\\w+\n(.*?)```").FindSubmatch(page)
			if m == nil {
				t.Fatal("the page does not have it")
			}
			if n := strings.Count(string(m[1]), "\n"); n > 30 {
				t.Errorf("it has %d lines; want 30 at most", n)
			}
			file := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(file, m[1], 0o600); err != nil {
				t.Fatal(err)
			}
			testReceiver(t, program, file)
		})
	}
}

// TestRequestOfThePage checks the signature of the request that docs/notifications.md shows.
func TestRequestOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/notifications.md")
	if err != nil {
		t.Fatal(err)
	}
	request := regexp.MustCompile("(?s)<!-- example: request -->\n```http\n(.*?)\n\n(.*?)\n```").FindSubmatch(page)
	secrets := regexp.MustCompile(`SECRETS="(\S+) `).FindSubmatch(page)
	if request == nil || secrets == nil {
		t.Fatal("the page has no request, or no secrets")
	}
	header := make(http.Header)
	for line := range strings.Lines(string(request[1])) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			header.Set(name, value)
		}
	}
	w, err := standardwebhooks.NewWebhook(string(secrets[1]))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.VerifyIgnoringTimestamp(request[2], header); err != nil {
		t.Error(err)
	}
}

// delivery is what a receiver is sent. Its zero value has a genuine signature of now.
type delivery struct {
	name, secret, id, body string
	age                    time.Duration
	change                 func(h http.Header)
	sent                   string // in place of the body that was signed
	status                 int
}

func testReceiver(t *testing.T, program, file string) {
	const genuine = `{"UUID":"8c6f","status":"Succeeded","data":{"n":1}}`
	url, printed := startReceiver(t, program, file)
	for _, d := range []delivery{
		{name: "of another secret", secret: "whsec_AAAVsBQIhrscChlQIMV+b5sSYspob7oDMfKQ9r8GKYo=", status: 401}, //nolint:gosec // of this test
		{name: "of six minutes ago", age: 6 * time.Minute, status: 401},
		{name: "of the future", age: -6 * time.Minute, status: 401},
		{name: "with another body", sent: strings.Replace(genuine, "1", "2", 1), status: 401},
		{name: "with a blank more", sent: genuine + " ", status: 401},
		{name: "with another id", change: func(h http.Header) { h.Set("Webhook-Id", "msg_2") }, status: 401},
		{name: "without a signature", change: func(h http.Header) { h.Del("Webhook-Signature") }, status: 401},
		{name: "without a timestamp", change: func(h http.Header) { h.Del("Webhook-Timestamp") }, status: 401},
		{name: "without an id", change: func(h http.Header) { h.Del("Webhook-Id") }, status: 401},
		{name: "with a timestamp that is none", change: func(h http.Header) { h.Set("Webhook-Timestamp", "soon") }, status: 401},
		{name: "with a signature of other bytes", change: func(h http.Header) { h.Set("Webhook-Signature", "v1,\xff\xfe v1") }, status: 401},
		{name: "genuine", status: 200},
		{name: "again", status: 200},
		{name: "of the next secret", secret: nextSecret, id: "msg_3", status: 200},
		{name: "with two signatures", id: "msg_4", change: func(h http.Header) {
			h.Set("Webhook-Signature", "v1,b3RoZXI= "+h.Get("Webhook-Signature"))
		}, status: 200},
		{name: "genuine, and no JSON", id: "msg_5", body: "{", status: 0},
		{name: "of a failure", id: "msg_6", body: `{"UUID":"8c70","status":"Failed","data":{"message":"no"}}`, status: 200},
		{name: "without data, as it is too large", id: "msg_7", body: `{"UUID":"8c71","status":"Succeeded"}`, status: 200},
	} {
		if d.body == "" {
			d.body = genuine
		}
		if got := d.send(t, url); got != d.status {
			t.Errorf("a notification %s is answered %d; want %d", d.name, got, d.status)
		}
	}
	text, err := os.ReadFile(printed)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "Succeeded 8c6f"); n != 3 {
		t.Errorf("it has worked on the genuine ones %d times; want once for each of three ids:\n%s", n, text)
	}
	if !strings.Contains(string(text), "Failed 8c70") || !strings.Contains(string(text), "Succeeded 8c71") {
		t.Errorf("after one that is no JSON it goes on; it printed\n%s", text)
	}
}

// send gives the status of the answer, 0 where the connection ends without one.
func (d *delivery) send(t *testing.T, url string) int {
	t.Helper()
	secret, id, sent := signingSecret, "msg_1", d.body
	if d.secret != "" {
		secret = d.secret
	}
	if d.id != "" {
		id = d.id
	}
	if d.sent != "" {
		sent = d.sent
	}
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-d.age)
	signature, err := w.Sign(id, at, []byte(d.body))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Webhook-Signature", signature)
	if d.change != nil {
		d.change(req.Header)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// startReceiver gives the URL of a receiver, and the file of what it prints.
func startReceiver(t *testing.T, program, file string) (url, printed string) {
	t.Helper()
	at := free(t, 1)[0]
	_, port, _ := net.SplitHostPort(at)
	printed = file + ".out"
	out, err := os.Create(printed)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, file)
	cmd.Env = append(os.Environ(), "PORT="+port, "SECRETS="+signingSecret+" "+nextSecret)
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = out.Close()
	})
	eventually(t, "the receiver listens", func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return "http://" + at, printed
}
