package configs_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"syncgate/configs"
)

// secretText stands for a secret that somebody has put where it does not belong, or has not quoted where it needs quotes.
const secretText = "hunter2Zq9"

// TestNoProblemShowsASecret puts a secret into every setting, in every form that people get wrong, and wants no byte of it in what is
// said: neither in problems, nor in warnings, nor in what is dumped of a secret setting that is valid.
func TestNoProblemShowsASecret(t *testing.T) {
	t.Chdir(t.TempDir())
	wrong := 0
	f := func(text string, env ...string) {
		t.Helper()
		write(t, "c.yaml", text)
		c, warnings, err := configs.Load("c.yaml", env)
		said := fmt.Sprint(err, warnings)
		switch {
		case err != nil:
			wrong++
		default:
			said += secretsOf(t, c)
		}
		if strings.Contains(said, secretText) {
			t.Errorf("%s\n%q\ngives\n%s", text, env, said)
		}
	}
	for _, key := range settings(t) {
		for _, value := range wrongForms() {
			f(at(key, value))
		}
		f(at(key, "${P}"), "P="+secretText)
		f(at(key, "[\"${P}\"]"), "P="+secretText)
		f(strings.Replace(at(key, secretText), ": "+secretText, ":"+secretText, 1)) // no blank: all of it is a key
		f(strings.Replace(at(key, "x"), key[strings.LastIndex(key, ".")+1:]+":", secretText+":", 1))
		f("log: {}", configs.Variable(key)+"="+secretText)
		f("log: {}", configs.Variable(key)+"=\x00"+secretText)
	}
	if wrong < 1000 {
		t.Errorf("only %d of these configurations were wrong", wrong)
	}
}

// wrongForms are the values that people write by mistake around a secret; some are right for some settings.
func wrongForms() []string {
	return []string{
		secretText,
		`"` + secretText + `"`,
		secretText + ": " + secretText,
		"{" + secretText + ": x}",
		"{x: " + secretText + "}",
		"[" + secretText + "]",
		"[[" + secretText + "]]",
		"[" + secretText,
		"{" + secretText,
		"*" + secretText,
		"[*" + secretText + "]",
		"&" + secretText,
		"&a *a" + secretText,
		"!" + secretText + " x",
		"!!int " + secretText,
		"@" + secretText,
		"%" + secretText,
		"`" + secretText,
		"\t" + secretText,
		`"` + secretText,
		"'" + secretText,
		`"\` + secretText + `"`,
		"|9" + secretText,
		"\x01" + secretText,
		"\xff" + secretText,
		"${" + secretText + "}",
		"${" + secretText,
		"|\n" + strings.Repeat(" ", 20) + secretText,
		">-\n" + strings.Repeat(" ", 20) + secretText + "\n x",
		"? " + secretText,
		"{<<: *" + secretText + "}",
		"{? [" + secretText + "] : x}",
		"\n" + secretText,
		secretText + "\n- " + secretText,
		"\"x\" " + secretText,
		"https://u:" + secretText + "@h:99999",
		"\"redis://u:p/" + secretText + "@h\"",
	}
}

// TestNoProblemShowsAURL is about the userinfo, the query and what else of a URL may be secret, in whatever does not parse.
func TestNoProblemShowsAURL(t *testing.T) {
	const s = secretText
	for _, mode := range []string{"standalone", "sentinel", "cluster"} {
		for _, url := range []string{
			"redis://u:" + s + "@:x", "redis://u:" + s + "@h/%zz", "redis://u:" + s + "%zz@h", "redis://u:" + s + "@h:6379/" + s, "redis://u:" + s + "@h/1/" + s,
			"redis://h?" + s + "=1", "redis://h?db=" + s, "redis://h?pool_size=" + s, "redis://h?read_timeout=" + s, "redis://h?pool_fifo=" + s, "redis://h?addr=" + s,
			"http://u:" + s + "@h", s + "://h", s, "redis:u:" + s + "@h", "redis://" + s + "\x7f@h", "unix://u:" + s + "@", "redis://[" + s + "]:1", "redis://h:" + s,
			"redis://u:p@ss" + s + "@h?x", "redis://h/ " + s,
		} {
			text := fmt.Sprintf("correlator: {backend: redis, redis: {mode: %s, url: %q}}\ncallback: {keys: [%s]}", mode, url, key32)
			_, _, err := load(t, text)
			if err == nil && mode == "cluster" {
				continue // it has no database, and takes any path
			}
			if err == nil || strings.Contains(err.Error(), s) {
				t.Errorf("%s %s: %v", mode, url, err)
			}
		}
	}
	for _, url := range []string{
		"u:" + s + "@h", s + "@h", "http://u:" + s + "@h", "http://u:" + s + "@%zz", "http://h:" + s, "ftp://u:" + s + "@h", "http://h?" + s, "http://h#" + s,
		"http://u:" + s + "%zz@h", "http://[" + s + "]", "http://h/%" + s, "//" + s, "http://" + s + "\x7f", s + "://h", ":" + s,
	} {
		_, _, err := load(t, fmt.Sprintf("engine: {url: %q}\ncallback: {base_url: %q}\ncors: {origins: [%q]}", url, url, url))
		if err == nil || strings.Contains(err.Error(), s) || strings.Count(err.Error(), "\n") != 2 {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestDumpMasksURLs: what is valid is masked, whatever the form of the URL.
func TestDumpMasksURLs(t *testing.T) {
	for _, url := range []string{
		"redis://u:" + secretText + "@h", "redis://:" + secretText + "@h:1/2", "redis://" + secretText + "@h", "unix://u:" + secretText + "@/run/redis.sock?db=1",
		"rediss://u:" + secretText + "@h?skip_verify=true",
	} {
		c := mustLoad(t, "correlator: {redis: {url: \""+url+"\"}}")
		if out := dump(t, c); strings.Contains(out, secretText) {
			t.Errorf("%s\n%s", url, out)
		}
	}
	for _, url := range []string{"http://u:" + secretText + "@proxy:3128", "https://" + secretText + "@proxy"} {
		if out := dump(t, mustLoad(t, "engine: {proxy: \""+url+"\"}")); strings.Contains(out, secretText) || !strings.Contains(out, "***@proxy") {
			t.Errorf("%s\n%s", url, out)
		}
	}
}

// TestSecretFilesAreNotNamed: where the secret itself stands in place of its file, it is not shown.
func TestSecretFilesAreNotNamed(t *testing.T) {
	for _, text := range []string{
		"auth: {credentials: [{login: a, secret_file: " + secretText + "}]}",
		"auth: {credentials: [{login: a, secret: s, engine_login: b, engine_secret_file: " + secretText + "}]}",
		"access: [{name: a, signing_secret_file: " + secretText + "}]",
		"waiters: [{name: a, conv_id: 1, timer: 1m, verify: {preset: github, secret_file: " + secretText + "}}]",
		"waiters: [{name: a, conv_id: 1, timer: 1m, path: a, hashes: [" + secretText + "]}]",
		"access: [{name: a, callback_secret_file: " + secretText + "}]",
		"access: [{name: a, key: k, signing_secret: " + secretText + "}]",
		"callback: {keys_file: " + secretText + "}",
		"callback: {keys_file: \"" + secretText + "\\0\"}",
		"listen: {tls: {cert_file: " + secretText + ", key_file: c.yaml}}",
		"listen: {tls: {cert_file: c.yaml, key_file: " + secretText + "}}",
		"listen: {tls: {cert_file: c.yaml, key_file: c.yaml}} # -----BEGIN " + secretText + "-----",
		"# -----BEGIN " + secretText + "-----\n# -----END " + secretText + "-----\nlisten: {tls: {cert_file: c.yaml, key_file: c.yaml}}",
	} {
		_, _, err := load(t, text)
		if err == nil || strings.Contains(err.Error(), secretText) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// secretsOf dumps a configuration, less the settings that are no secrets.
func secretsOf(t *testing.T, c *configs.Config) string {
	t.Helper()
	public := *c
	public.Callback.Keys, public.Correlator.Redis.URL, public.Engine.Proxy = nil, "", ""
	shown := make(map[string]bool)
	for line := range strings.Lines(dump(t, &public)) {
		shown[line] = !strings.Contains(line, "secret: ") && !strings.Contains(line, "secrets: ") && !strings.Contains(line, "password: ")
	}
	var secrets strings.Builder
	for line := range strings.Lines(dump(t, c)) {
		if !shown[line] {
			secrets.WriteString(line)
		}
	}
	return secrets.String()
}

// settings are the key paths of all settings, those of a credential too.
func settings(t *testing.T) (keys []string) {
	t.Helper()
	var tree map[string]any
	unmarshal(t, configs.Reference(), &tree)
	var visit func(at string, v any)
	visit = func(at string, v any) {
		section, ok := v.(map[string]any)
		for name, inner := range section {
			visit(strings.TrimPrefix(at+"."+name, "."), inner)
		}
		if !ok {
			keys = append(keys, at)
		}
	}
	visit("", tree)
	keys = append(keys, "engine.headers", "engine.headers.Authorization")
	for _, name := range []string{"login", "secret", "secrets", "secret_file", "engine_login", "engine_secret", "engine_secret_file"} {
		keys = append(keys, "auth.credentials.- "+name)
	}
	slices.Sort(keys)
	return keys
}

// at writes a file in which key has value.
func at(key, value string) string {
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
