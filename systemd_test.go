package house_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"syncgate/configs"
)

// readUnit gives the values of the keys of a unit, in order.
func readUnit(text string) map[string][]string {
	unit := make(map[string][]string)
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			unit[key] = append(unit[key], value)
		}
	}
	return unit
}

// TestSystemd verifies the unit by systemd itself, and starts what it starts up to the check, over the configuration beside it and with the
// credentials that the unit loads.
func TestSystemd(t *testing.T) {
	const dir = "deploy/systemd/"
	text, err := os.ReadFile(dir + "syncgate.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := readUnit(string(text))
	root := t.TempDir()
	binary := filepath.Join(root, "syncgate")
	if out, err := exec.Command("go", "build", "-o", binary, "./cmd/syncgate").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	here := strings.NewReplacer("/usr/local/bin/syncgate", binary, "/etc/syncgate/syncgate.yaml", dir+"syncgate.yaml")
	verify(t, filepath.Join(root, "syncgate.service"), here.Replace(string(text)))

	env := append(os.Environ(), "CREDENTIALS_DIRECTORY="+root)
	for _, loaded := range unit["LoadCredential"] {
		name, _, _ := strings.Cut(loaded, ":")
		if err := os.WriteFile(filepath.Join(root, name), []byte(strings.Repeat(name, 40)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range slices.Concat(unit["ExecStartPre"], unit["ExecReload"][:1]) {
		args := strings.Fields(here.Replace(line))
		if !slices.Equal(args[1:3], []string{"check", "--quiet"}) {
			t.Errorf("%s is no check", line)
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	c, _, err := configs.Load(dir+"syncgate.yaml", env)
	if err != nil {
		t.Fatal(err)
	}
	wantUnitFits(t, unit, c)
}

// verify wants no complaint of systemd-analyze, and little that the service could do to the machine.
func verify(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", file)
	cmd.Stdout, cmd.Stderr = &complaints, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, &complaints)
	}
	const worst = "15" // tenths, of 100: what systemd calls OK ends at 50
	if out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold="+worst, file).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// wantUnitFits wants the times and limits of a unit that the configuration needs.
func wantUnitFits(t *testing.T, unit map[string][]string, c *configs.Config) {
	t.Helper()
	number := func(key string) int {
		n, err := strconv.Atoi(strings.Join(unit[key], " "))
		if err != nil {
			t.Errorf("%s: %v", key, err)
		}
		return n
	}
	if stop := time.Duration(number("TimeoutStopSec")) * time.Second; stop < c.Drain.Delay+c.Drain.Timeout+2*time.Second {
		t.Errorf("TimeoutStopSec is %v, and the drain takes %v and %v", stop, c.Drain.Delay, c.Drain.Timeout)
	}
	if files, need := number("LimitNOFILE"), c.Limits.Parked+c.Engine.MaxConnections+200; files < need {
		t.Errorf("LimitNOFILE is %d; %d are needed", files, need)
	}
	if !slices.Equal(unit["KillSignal"], []string{"SIGTERM"}) || !slices.Equal(unit["WantedBy"], []string{"multi-user.target"}) {
		t.Errorf("KillSignal %q, WantedBy %q", unit["KillSignal"], unit["WantedBy"])
	}
	text, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, loaded := range unit["LoadCredential"] {
		_, path, _ := strings.Cut(loaded, ":")
		if !regexp.MustCompile(`\s` + regexp.QuoteMeta(path) + `\s`).Match(text) {
			t.Errorf("docs/operations.md does not tell of %s", path)
		}
	}
}
