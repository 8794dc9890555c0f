package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	testVersion = "v0.1.0"
	testEpoch   = 1767225600 // seconds since 1970: 2026-01-01
)

// shipped is a release for linux/amd64 in a directory.
type shipped struct {
	dir    string
	source string // the checkout that it was built from
}

func (s shipped) path(name string) string { return filepath.Join(s.dir, name) }

// TestRelease builds a release twice, and looks at each thing in it as the people who install it would. The two checkouts are in two directories, their files
// have other modes and times, and the second one is built by somebody with settings of Go.
func TestRelease(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", strconv.Itoa(testEpoch))
	one := ship(t, t.TempDir(), checkout(t, 0o600, 0o700, time.Unix(1_000_000_000, 0)))
	dir, source := t.TempDir(), checkout(t, 0o644, 0o755, time.Now())
	var two shipped
	t.Run("settings of Go", func(t *testing.T) {
		setGo(t)
		two = ship(t, dir, source)
	})

	t.Run("two builds are the same", func(t *testing.T) { wantSame(t, one, two) })
	t.Run("checksums", func(t *testing.T) { wantChecksums(t, one) })
	t.Run("archive", func(t *testing.T) { wantArchive(t, one) })
	t.Run("deb", func(t *testing.T) { wantDeb(t, one) })
	t.Run("rpm", func(t *testing.T) { wantRPM(t, one) })
	t.Run("modules", func(t *testing.T) { wantModules(t, one) })
	t.Run("image", func(t *testing.T) { wantImage(t, one) })
	t.Run("image and Dockerfile have one binary", func(t *testing.T) { wantDockerfilesBinary(t, one) })
	t.Run("nothing of the machine", func(t *testing.T) { wantNothingOfTheMachine(t, one) })
}

// setGo sets what would make another binary, by variables and as go env -w does.
func setGo(t *testing.T) {
	t.Helper()
	config := t.TempDir()
	put(t, filepath.Join(config, "go", "env"), []byte("GOFLAGS=-tags=file\nGOEXPERIMENT=jsonv2\nGOARM64=v9.0\n"), 0o644)
	for name, value := range map[string]string{
		"XDG_CONFIG_HOME": config, "GOFLAGS": "-tags=variable", "GOAMD64": "v3", "GOFIPS140": "v1.0.0", "GODEBUG": "http2client=0", "CGO_ENABLED": "1", "GOOS": "windows", "GOARCH": "arm64",
	} {
		t.Setenv(name, value)
	}
}

// ship builds a release of a checkout into a directory, as make release does but for one platform.
func ship(t *testing.T, dir, source string) shipped {
	t.Helper()
	s := shipped{dir: filepath.Join(dir, "dist"), source: source}
	var log bytes.Buffer
	if err := run([]string{"-version", testVersion, "-source", source, "-out", s.dir, "-platforms", "linux/amd64"}, &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	return s
}

// checkout copies the repository into a directory of its own. Its plain files and programs have the given modes, and all have the given time.
func checkout(t *testing.T, plain, program os.FileMode, at time.Time) string {
	t.Helper()
	dir := t.TempDir()
	list := tool(t, nil, "git", "-c", "safe.directory=*", "-C", "..", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for name := range strings.SplitSeq(strings.TrimRight(list, "\x00"), "\x00") {
		from, to := filepath.Join("..", name), filepath.Join(dir, name)
		info, err := os.Stat(from)
		if os.IsNotExist(err) {
			continue // deleted, and not committed yet
		}
		body, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		mode := plain
		if info.Mode()&0o100 != 0 {
			mode = program
		}
		put(t, to, body, mode)
		if err := os.Chtimes(to, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// put writes a file and the directories that it is in.
func put(t *testing.T, name string, body []byte, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, body, mode); err != nil {
		t.Fatal(err)
	}
}

// tool runs a program that has to succeed, and gives what it wrote.
func tool(t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	var stderr bytes.Buffer
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// names lists a directory, sorted.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func wantSame(t *testing.T, one, two shipped) {
	want := []string{
		"SHA256SUMS", "syncgate-0.1.0-1.x86_64.rpm", "syncgate_0.1.0_amd64.deb", "syncgate_0.1.0_image.tar",
		"syncgate_0.1.0_linux_amd64.cdx.json", "syncgate_0.1.0_linux_amd64.tar.gz",
	}
	if got := names(t, one.dir); !slices.Equal(got, want) {
		t.Errorf("the release is %q", got)
	}
	if got := names(t, two.dir); !slices.Equal(got, want) {
		t.Errorf("the second release is %q", got)
	}
	for _, name := range want {
		if !bytes.Equal(read(t, one.path(name)), read(t, two.path(name))) {
			t.Errorf("%s differs between two builds", name)
		}
	}
}

// wantChecksums wants that sha256sum takes the file as it is, that no file is missing in it, and that it notices one bit.
func wantChecksums(t *testing.T, s shipped) {
	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = s.dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("sha256sum: %v\n%s", err, out)
	}
	var listed []string
	for line := range strings.Lines(string(read(t, s.path("SHA256SUMS")))) {
		listed = append(listed, strings.Fields(line)[1])
	}
	there := slices.DeleteFunc(names(t, s.dir), func(name string) bool { return name == "SHA256SUMS" })
	if !slices.Equal(listed, there) {
		t.Errorf("SHA256SUMS has %q, and the release %q", listed, there)
	}
}

// wantVersion wants a program that runs here and says the version of the release.
func wantVersion(t *testing.T, program string) {
	t.Helper()
	if out := tool(t, nil, program, "version"); !strings.HasPrefix(out, "syncgate "+testVersion+" ") {
		t.Errorf("%s version: %s", program, out)
	}
}

// wantArchive unpacks the archive by tar.
func wantArchive(t *testing.T, s shipped) {
	archive, dir := s.path("syncgate_0.1.0_linux_amd64.tar.gz"), t.TempDir()
	const root = "syncgate_0.1.0_linux_amd64"
	want := []string{
		"", "CHANGELOG.md", "LICENSE", "LICENSES-OF-MODULES", "README.md", "completions/", "completions/_syncgate", "completions/syncgate.bash",
		"completions/syncgate.fish", "reference.yaml", "syncgate", "syncgate.1", "systemd/", "systemd/syncgate.service", "systemd/syncgate.yaml",
	}
	var got []string
	for line := range strings.Lines(tool(t, []string{"TZ=UTC"}, "tar", "-tvzf", archive)) {
		words := strings.Fields(line)
		got = append(got, strings.TrimPrefix(words[5], root+"/"))
		mode := "-rw-r--r--"
		switch {
		case strings.HasSuffix(words[5], "/"):
			mode = "drwxr-xr-x"
		case words[5] == root+"/syncgate":
			mode = "-rwxr-xr-x"
		}
		if words[0] != mode || words[1] != "0/0" || words[3] != "2026-01-01" {
			t.Errorf("mode, owner or time: %s", line)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the archive has %q", got)
	}
	tool(t, nil, "tar", "-xzf", archive, "-C", dir)
	wantVersion(t, filepath.Join(dir, root, "syncgate"))
	for _, name := range []string{"README.md", "LICENSE", "CHANGELOG.md", "configs/reference.yaml", "deploy/systemd/syncgate.service"} {
		inside := filepath.Join(dir, root, strings.TrimPrefix(strings.TrimPrefix(name, "configs/"), "deploy/"))
		if !bytes.Equal(read(t, inside), read(t, filepath.Join(s.source, name))) {
			t.Errorf("%s is not the one of the checkout", name)
		}
	}
	wantTexts(t, s, filepath.Join(dir, root, "syncgate"), map[string]string{
		"man":             filepath.Join(dir, root, "syncgate.1"),
		"completion bash": filepath.Join(dir, root, "completions", "syncgate.bash"),
		"completion zsh":  filepath.Join(dir, root, "completions", "_syncgate"),
		"completion fish": filepath.Join(dir, root, "completions", "syncgate.fish"),
	})
	wantLicenses(t, filepath.Join(dir, root))
}

// wantTexts wants files that have what the program in the release writes.
func wantTexts(t *testing.T, _ shipped, program string, texts map[string]string) {
	t.Helper()
	for command, name := range texts {
		if want := tool(t, nil, program, strings.Fields(command)...); want == "" || string(read(t, name)) != want {
			t.Errorf("%s is not what syncgate %s writes", name, command)
		}
	}
}

// wantLicenses wants the licence of every module that go version finds in the binary.
func wantLicenses(t *testing.T, dir string) {
	t.Helper()
	text := string(read(t, filepath.Join(dir, "LICENSES-OF-MODULES")))
	modules := modulesOf(t, filepath.Join(dir, "syncgate"))
	for _, m := range modules {
		_, licence, ok := strings.Cut(text, "\n"+m.path+" "+m.version+", ")
		licence, _, _ = strings.Cut(licence, strings.Repeat("=", 80))
		if !ok || len(licence) < 200 {
			t.Errorf("the licence of %s %s is %q", m.path, m.version, licence)
		}
	}
	if !strings.Contains(text, "\nGo go1.") {
		t.Error("the licence of Go is missing")
	}
}

// module is a line dep of go version -m.
type module struct{ path, version string }

func modulesOf(t *testing.T, binary string) (all []module) {
	t.Helper()
	for line := range strings.Lines(tool(t, nil, "go", "version", "-m", binary)) {
		if words := strings.Fields(line); len(words) >= 3 && words[0] == "dep" {
			all = append(all, module{words[1], words[2]})
		}
	}
	if len(all) < 10 {
		t.Errorf("go version -m names %d modules", len(all))
	}
	return all
}

// wantNothingOfTheMachine looks for the directory of the checkout, the home directory and the name of the machine in the binary.
func wantNothingOfTheMachine(t *testing.T, s shipped) {
	dir := t.TempDir()
	tool(t, nil, "tar", "-xzf", s.path("syncgate_0.1.0_linux_amd64.tar.gz"), "-C", dir, "--strip-components=1")
	binary := read(t, filepath.Join(dir, "syncgate"))
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, trace := range []string{s.source, filepath.Join(home, "go"), os.TempDir() + "/go-build"} {
		if bytes.Contains(binary, []byte(trace)) {
			t.Errorf("the binary has %q", trace)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names(t, s.dir) {
		if len(host) > 6 && bytes.Contains(read(t, s.path(name)), []byte(host)) {
			t.Errorf("%s has the name of the machine", name)
		}
	}
}
