package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"syncgate/configs"
)

// mark stands for a secret that is in a wrong place, or is not written as YAML wants it.
const mark = "hunter2Zq9"

// spoilt are the ways to get a value wrong, around mark.
func spoilt() []string {
	return []string{
		mark, `"` + mark, "'" + mark, "*" + mark, "&" + mark, "!" + mark + " x", "@" + mark, "%" + mark, "`" + mark, "[" + mark, "{" + mark,
		"[[" + mark + "]]", "{" + mark + ": x}", "{x: *" + mark + "}", mark + ": " + mark, `"\` + mark + `"`, "|9" + mark, "\x01" + mark, "\xff" + mark,
		"${" + mark, "${" + mark + "}", "? " + mark, "\n" + mark, "\t" + mark, mark + "\n\t" + mark, "a\n  b:\n " + mark, "\"https://u:" + mark + "@h:99999/\"",
		"\"https://u:" + mark + "@h\"", "\"redis://u:p/" + mark + "@h\"", "\"redis://u:" + mark + "@h:x\"", "[\"https://u:" + mark + "@h\"]",
	}
}

// TestNoOutputShowsASecret puts a mark into every key that takes text, in every way to get a value wrong, and looks for it in all
// that check, serve and a reload say. What check prints of a valid configuration may have it where no secret belongs.
func TestNoOutputShowsASecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	var log bytes.Buffer
	c := demoConfig("127.0.0.1:0", "", "http://127.0.0.1:1")
	c.Log.Format = "json"
	logger, lines := newLog(&log, c.Log)
	n, err := start(c, logger, nil, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	f := func(key, value string) {
		var out, errs bytes.Buffer
		p := &program{in: strings.NewReader(""), out: &out, err: &errs, env: []string{"SYNCGATE_CONFIG=" + file}}
		if err := os.WriteFile(file, []byte(fileWith(key, value)), 0o600); err != nil {
			t.Fatal(err)
		}
		status := p.main([]string{"check"})
		if status != exitOK {
			wrong++
			p.main([]string{"serve", "--config", file})
		} else if !holdsSecret(key) {
			out.Reset()
		}
		if said := out.String() + errs.String(); strings.Contains(said, mark) {
			t.Errorf("%s: %s\nsays\n%s", key, value, said)
		}
		n.reload(func() (*configs.Config, []configs.Warning, error) { return p.config(file) })
	}
	keys := textKeys(t)
	for _, key := range keys {
		for _, value := range spoilt() {
			f(key, value)
		}
	}
	n.drain()
	lines.finish()
	if strings.Contains(log.String(), mark) {
		t.Errorf("the log has the mark: %s", regexp.MustCompile(".*"+mark+".*").FindAllString(log.String(), 5))
	}
	if len(keys) < 30 || wrong < 500 || !strings.Contains(log.String(), "nothing has changed") || !strings.Contains(log.String(), "configuration reloaded") {
		t.Errorf("%d keys, of which %d files were wrong", len(keys), wrong)
	}
}

// holdsSecret reports whether check has to mask a key.
func holdsSecret(key string) bool {
	name := key[strings.LastIndexAny(key, ". ")+1:]
	return strings.HasSuffix(name, "secret") || strings.HasSuffix(name, "secrets") || strings.HasSuffix(name, "password") || name == "keys" ||
		key == "correlator.redis.url" || name == "proxy"
}

// textKeys are the paths of the keys that take text, as the reference has them.
func textKeys(t *testing.T) (keys []string) {
	t.Helper()
	var at []string
	for line := range strings.Lines(configs.Reference()) {
		m := regexp.MustCompile(`^( *)(\w+):(.*)`).FindStringSubmatch(line)
		if m == nil {
			continue
		}
		at = append(at[:len(m[1])/2], m[2])
		value := strings.TrimSpace(m[3])
		switch {
		case value == "" || regexp.MustCompile(`^(true|false|[0-9.]+\w*)$`).MatchString(value):
		case value[0] == '{':
			for _, inner := range regexp.MustCompile(`(\w+):`).FindAllStringSubmatch(value, -1) {
				keys = append(keys, strings.Join(append(at, inner[1]), "."))
			}
		default:
			keys = append(keys, strings.Join(at, "."))
		}
	}
	for _, name := range []string{"login", "secret", "secrets", "secret_file", "engine_login", "engine_secret", "engine_secret_file"} {
		keys = append(keys, "auth.credentials.- "+name)
	}
	return keys
}

// fileWith is a configuration in which key has value.
func fileWith(key, value string) string {
	var b strings.Builder
	names := strings.Split(key, ".")
	for i, name := range names {
		b.WriteString(strings.Repeat("  ", i) + name + ":")
		if i < len(names)-1 {
			b.WriteByte('\n')
		}
	}
	return b.String() + " " + value + "\n"
}
