package main_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

const billingKey = "0123456789abcdef0123456789abcdef"

// enginesEnv has the secrets of the blocks of docs/engines.md.
func enginesEnv() []string {
	return append(exampleEnv(), "OS1_ACCESS=access-token", "OS1_SECRET="+os1Secret, "BILLING_SECRET=whsec_"+base64.StdEncoding.EncodeToString([]byte(billingKey)))
}

func enginesPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/engines.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// yamlBlocks gives the YAML of a page by the names of the blocks.
func yamlBlocks(page string) map[string]string {
	blocks := make(map[string]string)
	for _, m := range regexp.MustCompile("(?ms)^```yaml ?(.*?)\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		blocks[m[1]] = m[2]
	}
	return blocks
}

// TestEnginesPageHasTheExamples: the page names every example, what it names is there, and each block is a configuration.
func TestEnginesPageHasTheExamples(t *testing.T) {
	page := enginesPage(t)
	named := make(map[string]bool)
	for _, m := range regexp.MustCompile(`\]\(\.\./configs/examples/([^)]+)\)`).FindAllStringSubmatch(page, -1) {
		named[m[1]] = true
		if _, err := os.Stat(examplesDir + m[1]); err != nil {
			t.Errorf("docs/engines.md names %v", err)
		}
	}
	files, err := os.ReadDir(examplesDir)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, f := range files {
		if !named[f.Name()] {
			t.Errorf("docs/engines.md does not name %s", f.Name())
		}
	}
	blocks := yamlBlocks(page)
	if len(blocks) != strings.Count(page, "```yaml") {
		t.Errorf("%d blocks have names of their own, of %d", len(blocks), strings.Count(page, "```yaml"))
	}
	for name, text := range blocks {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if said, status := output(t, exec.Command("syncgate", "check", "--quiet", "--config", file), enginesEnv()...); status != 0 || said != "" {
			t.Errorf("the block %s: status %d\n%s", name, status, said)
		}
	}
}

// documented starts a gateway with a block of the page, and an engine.
func documented(t *testing.T, block string, engine http.HandlerFunc) *gate {
	t.Helper()
	e := httptest.NewServer(engine)
	t.Cleanup(e.Close)
	text, ok := yamlBlocks(enginesPage(t))[block]
	if !ok || !strings.Contains(text, "http://127.0.0.1:9000") {
		t.Fatalf("no block %s with an engine's address", block)
	}
	config := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(text, "http://127.0.0.1:9000", e.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	return launch(t, exec.Command("syncgate", "serve", "--config", config), free(t, 1)[0], enginesEnv()...)
}

// callBack posts a result with a status and gives what the gateway answers. No status: the header is not sent.
func callBack(t *testing.T, url, status, body string) (heard answer) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Errorf("call back: %v", err)
		return heard
	}
	req.Header.Set("Content-Type", "application/json")
	if status != "" {
		req.Header.Set("X-Callback-Status", status)
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := c.Do(req)
	if err != nil {
		t.Errorf("call back: %v", err)
		return heard
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Errorf("call back: %v", err)
	}
	return answer{status: r.StatusCode, header: r.Header, body: string(b)}
}

// TestEngineThatAnswersAtOnce: 200 is the result, 202 says that the engine will call.
func TestEngineThatAnswersAtOnce(t *testing.T) {
	calls := make(chan string, 1)
	g := documented(t, "final", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/rates/EUR" {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "at once")
			return
		}
		calls <- r.URL.Query().Get("callback")
		w.WriteHeader(202)
	})
	c := caller(t, g.public, 1)
	a := c.ask(t, "GET", "/v1/rates/EUR", "")
	wantAnswer(t, a, 200, "at once")
	if got := a.header.Get("Content-Type"); got != "text/plain" {
		t.Errorf("the content type is %s", got)
	}
	handed := c.ask(t, "GET", "/v1/rates/USD", "", "Prefer: respond-async")
	wantAnswer(t, callBack(t, soon(t, calls), "", `{"later":1}`), 200, "{}")
	wantAnswer(t, c.ask(t, "GET", handed.header.Get("Location"), ""), 200, `{"later":1}`)
	g.stop()
}

// TestEngineThatWantsASignature computes the signature as the page says.
func TestEngineThatWantsASignature(t *testing.T) {
	var calls sync.WaitGroup
	defer calls.Wait()
	g := documented(t, "signature", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(billingKey))
		_, _ = io.WriteString(mac, r.Header.Get("Webhook-Id")+"."+r.Header.Get("Webhook-Timestamp")+"."+string(body))
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("Webhook-Signature") != want {
			t.Errorf("the signature is %s, not %s", r.Header.Get("Webhook-Signature"), want)
		}
		var task struct{ Callback struct{ URL string } }
		if err := json.Unmarshal(body, &task); err != nil {
			t.Errorf("the engine gets %s", body)
		}
		w.WriteHeader(202)
		calls.Go(func() { wantAnswer(t, callBack(t, task.Callback.URL, "", `{"signed":true}`), 200, "{}") })
	})
	c := caller(t, g.public, 1)
	wantAnswer(t, c.ask(t, "POST", "/v1/invoices", `{"n":1}`), 200, `{"signed":true}`)
	g.stop()
}

// steered is a gateway and its engine. The text of a task says what the engine answers and reports.
type steered struct {
	*client
	gate   *gate
	called chan string // the callback URL of each task, when the engine has answered
}

func newSteered(t *testing.T) *steered {
	t.Helper()
	s := &steered{called: make(chan string, 1)}
	s.gate = documented(t, "signature", func(w http.ResponseWriter, r *http.Request) {
		var task struct {
			Answer   int
			Early    bool
			Callback struct{ URL string }
		}
		if err := json.NewDecoder(r.Body).Decode(&task); err != nil {
			t.Errorf("the engine gets no task: %v", err)
		}
		if task.Early {
			wantAnswer(t, callBack(t, task.Callback.URL, "", `{"early":true}`), 200, "{}")
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(task.Answer)
		_, _ = io.WriteString(w, `{"of":"the engine"}`)
		s.called <- task.Callback.URL
	})
	s.client = caller(t, s.gate.public, 2)
	return s
}

// start sends a task and gives the URL that its engine has, and the client's answer.
func (s *steered) start(t *testing.T, body string) (url string, later <-chan answer) {
	t.Helper()
	answers := make(chan answer, 1)
	go func() {
		a, err := s.try("POST", "/v1/invoices", body)
		if err != nil {
			a.body = err.Error()
		}
		answers <- a
	}()
	return soon(t, s.called), answers
}

// soon gives what comes by a channel, within patience.
func soon[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("nothing has come within %v", patience)
	}
	return v
}

// TestClientOfAnEngineThatFails holds the table of docs/engines.md with what clients hear.
func TestClientOfAnEngineThatFails(t *testing.T) {
	s := newSteered(t)
	_, client := s.start(t, `{"answer":422}`)
	wantAnswer(t, soon(t, client), 422, `{"of":"the engine"}`)
	url, client := s.start(t, `{"answer":500}`)
	a := soon(t, client)
	if a.status != 502 || a.header.Get("Location") == "" {
		t.Errorf("of an answer that is neither accepted nor final: %d %v %s", a.status, a.header, a.body)
	}
	wantAnswer(t, callBack(t, url, "", `{"n":1}`), 200, "{}")
	wantAnswer(t, s.ask(t, "GET", a.header.Get("Location"), ""), 200, `{"n":1}`)
	if a := s.ask(t, "POST", "/v1/invoices", `{"answer":202}`, "Prefer: wait=1"); a.status != 202 || a.header.Get("Location") == "" {
		t.Errorf("of an engine that does not call: %d %s", a.status, a.body)
	}
	soon(t, s.called)
	_, client = s.start(t, `{"answer":202,"early":true}`)
	wantAnswer(t, soon(t, client), 200, `{"early":true}`)
	url, client = s.start(t, `{"answer":202}`)
	wantAnswer(t, callBack(t, url, "error", `{"message":"no funds"}`), 200, "{}")
	wantAnswer(t, soon(t, client), 502, `{"message":"no funds"}`)
	url, client = s.start(t, `{"answer":202}`)
	wantAnswer(t, callBack(t, url, "cancel", ``), 200, "{}")
	if a := soon(t, client); a.status != 409 {
		t.Errorf("of a task that the engine has cancelled: %d %s", a.status, a.body)
	}
	s.gate.stop()
}

// TestEngineHearsWhatBecameOfItsCall holds the table of docs/engines.md with what engines hear.
func TestEngineHearsWhatBecameOfItsCall(t *testing.T) {
	s := newSteered(t)
	url, client := s.start(t, `{"answer":202}`)
	wantAnswer(t, callBack(t, url+"x", "", `{}`), 404, "{}")
	for _, of := range [][2]string{{"", `{`}, {"finished", `{}`}} {
		if heard := callBack(t, url, of[0], of[1]); heard.status != 400 {
			t.Errorf("after %s the engine hears %d %s", of, heard.status, heard.body)
		}
	}
	wantAnswer(t, callBack(t, url, "", `"`+strings.Repeat("x", 5<<20)+`"`), 413, "{}")
	wantAnswer(t, callBack(t, url, "", `{"n":2}`), 200, "{}")
	wantAnswer(t, soon(t, client), 200, `{"n":2}`)
	wantAnswer(t, callBack(t, url, "progress", `{"n":3}`), 200, "{}") // what nobody can read any more has no state
	if a := s.ask(t, "POST", "/v1/invoices", `{"answer":202}`, "Prefer: respond-async"); a.status != 202 {
		t.Errorf("respond-async: %d %s", a.status, a.body)
	}
	url = soon(t, s.called)
	for _, of := range [][2]string{{"complete", ""}, {"progress", "complete"}, {"error", "complete"}} {
		heard := callBack(t, url, of[0], `{"n":4}`)
		wantAnswer(t, heard, 200, "{}")
		if got := heard.header.Get("X-Callback-Status"); got != of[1] {
			t.Errorf("after %s the engine hears %q; want %q", of[0], got, of[1])
		}
	}
	s.gate.stop()
}
