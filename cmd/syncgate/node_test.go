package main_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// worker is an engine as people write them behind Express, in plain Node. It takes what Express's body parser takes, wants a token, says
// what the task wants it to say, works for a moment and calls back.
const worker = `
const http = require("http");
const says = {
	empty: [200, "text/plain", ""], ok: [200, "text/plain; charset=utf-8", "OK"], accepted: [202, "application/json", "{}"], none: [204, "", ""],
	html: [200, "text/html", "<p>thanks"], n8n: [200, "application/json", '{"message":"Workflow was started"}'], refused: [400, "application/json", '{"error":"no"}'],
};
http.createServer((req, res) => {
	const chunks = [];
	req.on("data", chunk => chunks.push(chunk));
	req.on("end", () => {
		const [type, charset] = (req.headers["content-type"] || "").split(";");
		if (type !== "application/json" || charset && charset.trim().toLowerCase() !== "charset=utf-8") return res.writeHead(415).end();
		if (req.headers.authorization !== "Bearer of-the-worker") return res.writeHead(401).end("who are you?");
		const op = JSON.parse(Buffer.concat(chunks)).ops[0];
		const {__callback_url: url, say, ...rest} = op.data;
		const [status, contentType, body] = says[say];
		res.writeHead(status, contentType ? {"Content-Type": contentType} : {}).end(body);
		if (status >= 300) return;
		setTimeout(() => {
			const call = http.request(url, {method: "POST", headers: {"Content-Type": "application/json"}}, answer => answer.resume());
			call.end(JSON.stringify({worked: rest}));
		}, 50);
	});
}).listen(0, "127.0.0.1", function () { console.log("http://127.0.0.1:" + this.address().port); });
`

// startNode runs a program in Node and gives the first line that it prints.
func startNode(t *testing.T, program string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "worker.js")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("node", file)
	log := new(logbook)
	command.Stderr = log
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	return strings.TrimSpace(line)
}

// TestWorkerInNode has an engine that does not speak the protocol: with engine.ack any and a header it works.
func TestWorkerInNode(t *testing.T) {
	engine := startNode(t, worker)
	config := filepath.Join(t.TempDir(), "engine.yaml")
	text := fmt.Sprintf("auth: {credentials: [{login: %q, secret: %q}]}\nengine: {url: %q, ack: any, headers: {Authorization: \"Bearer ${TOKEN}\"}}\n", login, secret, engine)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := free(t, 1)[0]
	g := serve(t, at, "SYNCGATE_CONFIG="+config, "TOKEN=of-the-worker")
	c := caller(t, at, 2)
	ask := func(say string) answer {
		t.Helper()
		a, err := c.create(`{"timeout":20,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"say":"` + say + `","n":1.0}}]}`)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, say := range []string{"empty", "ok", "accepted", "none", "html", "n8n"} {
		if a := ask(say); a.status != 200 || a.body != `{"request_proc":"ok","ops":[{"proc":"ok","data":{"worked":{"n":1}}}]}` {
			t.Errorf("%s: %d %s", say, a.status, a.body)
		}
	}
	if a := ask("refused"); a.status != 400 || a.body != `{"error":"no"}` {
		t.Errorf("refused: %d %s", a.status, a.body)
	}
	rotated := strings.Replace(text, "Bearer ${TOKEN}", "Bearer another", 1)
	if err := os.WriteFile(config, []byte(rotated), 0o600); err != nil {
		t.Fatal(err)
	}
	g.signal(syscall.SIGHUP)
	g.logged(`"message":"configuration reloaded"`)
	if a := ask("ok"); a.status != 502 { // the worker's 401 is no JSON
		t.Errorf("after another token: %d %s", a.status, a.body)
	}
	g.stop()
	if strings.Contains(g.log.String(), "of-the-worker") {
		t.Error("the log has the engine's token")
	}
	said, status := output(t, exec.Command("syncgate", "check", "--config", config))
	if status != 0 || strings.Contains(said, "Bearer") || !strings.Contains(said, "Authorization: '***'") {
		t.Errorf("check: status %d\n%s", status, said)
	}
}
