package main_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestOS1Page has the first route of docs/dialects/os1.md do what the page says: its configuration, its request, and the receiver of its sequence are those of the page.
func TestOS1Page(t *testing.T) {
	text, err := os.ReadFile("../../docs/dialects/os1.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	receiver := regexp.MustCompile("(?s)```python\n(.*?)```").FindStringSubmatch(page)
	curl := regexp.MustCompile(`(?m)^    curl (?:.*\\\n)*.*\n`).FindString(page)
	routes := yamlBlocks(page)["containers"]
	if receiver == nil || curl == "" || routes == "" {
		t.Fatal("the page has no receiver, request or configuration")
	}
	dir := t.TempDir()
	file, config := filepath.Join(dir, "receiver.py"), filepath.Join(dir, "c.yaml")
	for path, text := range map[string]string{
		file: receiver[1], config: "auth: {credentials: [{login: \"12345\", secret: mysecret}]}\ncallback: {keys: [" + firstKey + "]}\ndrain: {delay: 0s}\n" + routes,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"WEB_KEY=a-key-of-yours", "CALLBACK_SECRET=" + os1Secret}
	at := free(t, 1)[0]
	_, port, _ := net.SplitHostPort(at)
	log := background(t, "", exec.Command("python3", file), "SECRET="+os1Secret, "PORT="+port)
	eventually(t, "the receiver listens", func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	g := serve(t, free(t, 1)[0], append(env, "SYNCGATE_CONFIG="+config, "SYNCGATE_ENGINE_URL="+simulate(t).URL())...)

	request := strings.NewReplacer("127.0.0.1:8080", g.public, "127.0.0.1:9100", at).Replace(curl)
	command := exec.Command("sh", "-c", request)
	command.Env = append(os.Environ(), env...)
	said, err := command.Output()
	id := regexp.MustCompile(`\{"data":\{"id":"([^"]+)"\},"request":\{"uri":"/v1/containers","method":"POST"`).FindStringSubmatch(string(said))
	if err != nil || id == nil || !strings.HasPrefix(string(said), "HTTP/1.1 202 ") {
		t.Fatalf("%v\n%s", err, said)
	}
	eventually(t, "the receiver prints the callback", func() bool {
		return strings.Contains(log.String(), `"status":"success","reason":"","data":{"id":"`+id[1]+`","weight": 12},"meta":{"n": 1},"containerType":"shipment"}`)
	})
	if log := g.log.String(); strings.Contains(log, os1Secret) || strings.Contains(log, "a-token") || strings.Contains(log, id[1]) {
		t.Errorf("the log has a secret, or the whole id of a task:\n%s", log)
	}
}
