package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/internal/redistest"
	"syncgate/signer"
)

// secretText stands for a secret in a configuration that cannot be read.
const secretText = "hunter2Zq9"

// brokenFiles are configurations that cannot be read, each with a secret in it. Package configs tests many more.
func brokenFiles() []string {
	return []string{
		"auth:\n  credentials:\n    - login: \"1\"\n      secret: *" + secretText + "\n",            // a password that begins with an asterisk
		"auth:\n  credentials:\n    - {login: \"1\", secret:" + secretText + "}\n",                  // no blank
		"auth:\n  credentials:\n    - login: \"1\"\n      secret: \"" + secretText + "\n",           // no second quote
		"auth:\n  credentials:\n    - login: \"1\"\n      secret: \"a\\" + secretText + "\"\n",      // a backslash
		"auth:\n  credentials:\n    - login: \"1\"\n      secret: " + secretText + ": x\n",          // a colon
		"auth:\n  credentials:\n    - login: \"1\"\n      secret: @" + secretText + "\n",            // a character that begins no value
		"auth:\n  credentials:\n    - login: \"1\"\n      secret: s\n      " + secretText + ": x\n", // a key that there is not
		"auth:\n  credentials:\n    - login: \"1\"\n      secret: s\n  \t" + secretText + "\n",      // a tab
		"auth:\n  credentials:\n    - login: \"1\"\n      secret_file: " + secretText + "\n",        // the secret itself
		"auth:\n  credentials:\n    - login: \"1\"\n      secret: ${" + secretText + "\n",           // a variable that is none
		"auth:\n  credentials:\n    - login: \"1\"\n      secret: \xff" + secretText + "\n",         // not UTF-8
		"auth:\n  credentials:\n    - login: \"1 " + secretText + "\"\n      secret: s\n",           // a login that is none
		"callback: {keys: [" + secretText + "]}\n",                                                  // too short
		"callback: {keys: " + secretText + "}\n",                                                    // no list
		"callback: {base_url: \"http://u:" + secretText + "@h\"}\n",                                 // who may not be there
		"engine: {url: \"http://u:" + secretText + "@h:port\"}\n",                                   // no port
		"engine: {url: \"u:" + secretText + "@h\"}\n",                                               // no scheme
		"engine: {timeout: " + secretText + "}\nlimits: {ops: " + secretText + ", body: " + secretText + ", rate_per_login: " + secretText + "}\n",
		"correlator: {backend: redis, redis: {url: \"redis://u:" + secretText + "@h:port\"}}\n", // no port
		"correlator: {backend: redis, redis: {url: \"redis:u:" + secretText + "@h\"}}\n",        // no slashes
		"correlator: {backend: redis, redis: {url: \"redis://h?" + secretText + "=1\"}}\n",      // an option that there is not
		"correlator: {backend: redis, redis: {url: \"redis://h/" + secretText + "\"}}\n",        // a database that is none
		"log: {level: " + secretText + "}\n",                                                    // one of a few
		"listen: {public: " + secretText + ", trusted_proxies: [" + secretText + "]}\n",         // no address
		"listen: {tls: {cert_file: " + secretText + ", key_file: c.yaml}}\n",                    // no file
		"cors: {origins: [" + secretText + "]}\nforward_headers: [a " + secretText + "]\nauth: {ops: [" + secretText + "]}\n",
	}
}

// TestBrokenConfigurationShowsNoSecret: whatever is wrong with a configuration, its secrets are neither printed by check or serve nor
// logged by a reload.
func TestBrokenConfigurationShowsNoSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(command string, env ...string) {
		t.Helper()
		said, status := output(t, exec.Command("syncgate", command, "--config", file), env...)
		if status != 2 || strings.Contains(said, secretText) || !strings.Contains(said, "the configuration has ") {
			t.Errorf("%s: status %d\n%s", command, status, said)
		}
	}
	for _, text := range brokenFiles() {
		write(text)
		run("check")
		run("serve")
	}
	write("log: {}\n")
	for _, variable := range []string{
		"SYNCGATE_ENGINE_URL", "SYNCGATE_ENGINE_TIMEOUT", "SYNCGATE_CALLBACK_KEYS", "SYNCGATE_CORRELATOR_REDIS_URL", "SYNCGATE_LIMITS_BODY",
		"SYNCGATE_CALLBACK_KEYS_FILE", "SYNCGATE_CALLBACK_BASE_URL", "SYNCGATE_LOG_LEVEL", "SYNCGATE_RESULTS_REQUIRE_LOGIN",
	} {
		run("check", variable+"="+secretText)
		run("serve", variable+"=u:"+secretText+"@h:x")
	}

	good := fmt.Sprintf("auth: {credentials: [{login: %q, secret: %q}]}\n", login, secret)
	write(good)
	g := serve(t, free(t, 1)[0], "SYNCGATE_CONFIG="+file)
	for _, text := range brokenFiles() {
		write(text)
		g.reload(`"message":"(reload: nothing has changed|configuration reloaded)"`) // a variable may stand above what is wrong
	}
	g.stop()
	if strings.Contains(g.log.String(), secretText) {
		t.Errorf("the log has a secret:\n%s", g.log)
	}
}

// output runs a command, and gives all that it prints and its exit status.
func output(t *testing.T, command *exec.Cmd, env ...string) (said string, status int) {
	t.Helper()
	var both bytes.Buffer
	command.Stdout, command.Stderr = &both, &both
	command.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=20"), env...)
	err := command.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return both.String(), command.ProcessState.ExitCode()
}

// TestLogOfARedisThatQuotes: a server whose errors quote the arguments of commands brings neither the password of correlator.redis.url
// nor anything of a trip into the log, also at the level debug.
func TestLogOfARedisThatQuotes(t *testing.T) {
	q := redistest.StartQuoting(t, func(command []string) string {
		all := strings.NewReplacer("\r", "", "\n", "").Replace(strings.Join(command, " "))
		if command[0] == "evalsha" {
			return "-ERR Error running script: " + all
		}
		return "-ERR unknown command, with args beginning with: " + all
	})
	e := simulate(t, func(c *enginesim.Config) { c.Record = 10 })
	at := free(t, 1)[0]
	g := serve(t, at, "SYNCGATE_ENGINE_URL="+e.URL(), "SYNCGATE_CORRELATOR_BACKEND=redis", "SYNCGATE_CORRELATOR_WHEN_DOWN=local",
		"SYNCGATE_CORRELATOR_REDIS_URL=redis://user:"+secretText+"@"+q.Addr(), "SYNCGATE_CALLBACK_KEYS="+callbackKey, "SYNCGATE_LOG_LEVEL=debug",
		"SYNCGATE_ENGINE_TIMEOUT=2s")
	c := caller(t, at, 1)
	body, own := task("nonce")
	if a, err := c.create(body); err != nil || a.status != 200 || a.body != own {
		t.Errorf("without a key: %+v, %v", a, err)
	}
	a, err := c.create(`{"timeout":0.05,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"__sim":{"callback":"never"}}}]}`)
	if err != nil || a.status != 200 {
		t.Errorf("a time-out: %+v, %v", a, err)
	}
	path := signedPath(body)
	if status := postWithKey(t, c, path, body); status != 503 {
		t.Errorf("with a key: %d", status)
	}
	g.stop()
	log := g.log.String()
	if !strings.Contains(log, "the server refuses with an error of its own: ERR") {
		t.Errorf("the log does not say what is wrong:\n%s", log)
	}
	for _, text := range []string{secretText, secret, "evalsha", strings.TrimPrefix(path, "/api/1/json/")} {
		if strings.Contains(log, text) {
			t.Errorf("the log has %s:\n%s", text, log)
		}
	}
	if tasks := e.Tasks(); len(tasks) != 2 {
		t.Errorf("the engine has %d tasks", len(tasks))
	}
	for _, task := range e.Tasks() {
		_, token, _ := strings.Cut(task.URL, "/callback/")
		hasNoToken(t, log, token)
	}
}

// hasNoToken wants no more of a token in a log than its first 8 characters, which name the trip.
func hasNoToken(t *testing.T, log, token string) {
	t.Helper()
	for i := 0; i+9 <= len(token); i++ {
		if strings.Contains(log, token[i:i+9]) {
			t.Fatalf("the log has %s of the token %s:\n%s", token[i:i+9], token, log)
		}
	}
}

// postWithKey sends a create with an Idempotency-Key.
func postWithKey(t *testing.T, c *client, path, body string) (status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", secretText+"-key")
	r, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	return r.StatusCode
}

// signedPath is where a body goes to.
func signedPath(body string) string {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	return "/api/1/json/" + login + "/" + now + "/" + string(signer.AppendSignature(nil, []byte(now), []byte(secret), []byte(body)))
}
