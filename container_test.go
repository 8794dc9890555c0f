package house_test

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"syncgate/configs"
)

// instruction is a line of a Dockerfile.
type instruction struct{ name, args string }

// readDockerfile gives the instructions of each stage.
func readDockerfile(t *testing.T) (stages [][]instruction) {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
		line = strings.TrimSpace(line)
		name, args, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case name == "FROM":
			stages = append(stages, nil)
		case len(stages) == 0:
			t.Fatalf("%s before FROM", name)
		}
		last := len(stages) - 1
		stages[last] = append(stages[last], instruction{name, strings.TrimSpace(args)})
	}
	return stages
}

// TestContainers builds as the Dockerfile does, looks at what would be in the image, and checks configs/compose.yaml with it.
func TestContainers(t *testing.T) {
	stages := readDockerfile(t)
	binary := build(t, stages)
	wantStatic(t, binary)
	wantImage(t, binary, stages[1])
	wantComposition(t, binary)
}

// build does what the first stage says in a directory of its own, without its base image.
func build(t *testing.T, stages [][]instruction) (binary string) {
	t.Helper()
	const release = "v1.2.3-test"
	if len(stages) != 2 || stages[0][0].args != "golang:1.26-bookworm AS build" || stages[1][0].args != "scratch" {
		t.Fatalf("the stages are %v", stages)
	}
	src := t.TempDir()
	env := append(os.Environ(), "VERSION="+release)
	for _, i := range stages[0][1:] {
		switch i.name {
		case "WORKDIR":
			if i.args != "/src" {
				t.Errorf("WORKDIR %s", i.args)
			}
		case "ARG":
		case "COPY":
			copyFrom(t, src, strings.Fields(i.args))
		case "RUN":
			run := exec.Command("sh", "-euc", i.args)
			run.Dir, run.Env = src, env
			if out, err := run.CombinedOutput(); err != nil {
				t.Fatalf("RUN %s: %v\n%s", i.args, err, out)
			}
		default:
			t.Errorf("%s %s is not known to this test", i.name, i.args)
		}
	}
	binary = filepath.Join(src, "bin", "syncgate")
	if out := run(t, binary, nil, "version"); !strings.HasPrefix(out, "syncgate "+release+" ") {
		t.Errorf("version: %s", out)
	}
	return binary
}

// copyFrom does a COPY from the checkout, less what .dockerignore names.
func copyFrom(t *testing.T, dst string, args []string) {
	t.Helper()
	ignored, err := os.ReadFile(".dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range args[:len(args)-1] {
		err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
			skip := slices.Contains(strings.Fields(string(ignored)), name)
			switch {
			case err != nil:
				return err
			case skip && d.IsDir():
				return fs.SkipDir
			case skip:
				return nil
			case d.IsDir():
				return os.MkdirAll(filepath.Join(dst, name), 0o755)
			default:
				return copyFile(filepath.Join(dst, name), name)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func copyFile(to, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode())
}

// wantStatic wants a binary that needs nothing of the image it is in.
func wantStatic(t *testing.T, binary string) {
	t.Helper()
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Error("the binary is not static")
		}
	}
}

// wantImage looks at the last stage: what is copied exists, nobody is root, and the commands are commands of the program.
func wantImage(t *testing.T, binary string, stage []instruction) {
	t.Helper()
	said := make(map[string]string)
	for _, i := range stage {
		said[i.name] = i.args
		if i.name == "COPY" && !slices.Contains([]string{
			"--from=build /src/bin/syncgate /syncgate",
			"--from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/", // of the base image
		}, i.args) {
			t.Errorf("COPY %s", i.args)
		}
	}
	if user, _, _ := strings.Cut(said["USER"], ":"); !regexp.MustCompile(`^[1-9][0-9]+$`).MatchString(user) {
		t.Errorf("USER %s is root, or a name that scratch does not know", said["USER"])
	}
	command := func(text string) (words []string) {
		if err := json.Unmarshal([]byte(text), &words); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return words
	}
	if entry := command(said["ENTRYPOINT"]); !slices.Equal(entry, []string{"/syncgate"}) {
		t.Errorf("ENTRYPOINT %v", entry)
	}
	_, health, _ := strings.Cut(said["HEALTHCHECK"], "CMD ")
	if words := command(health); !slices.Equal(words, []string{"/syncgate", "health"}) {
		t.Errorf("HEALTHCHECK %v", words)
	}
	run(t, binary, nil, append(command(said["CMD"]), "--help")...)
}

func run(t *testing.T, program string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	var stderr bytes.Buffer
	cmd.Env, cmd.Stderr = env, &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Errorf("%s %v: %v\n%s", program, args, err, &stderr)
	}
	return string(out)
}

// composition is what is looked at of compose.yaml.
type composition struct {
	Services map[string]struct {
		Image       string            `yaml:"image"`
		Command     []string          `yaml:"command"`
		Environment map[string]string `yaml:"environment"`
		Volumes     []string          `yaml:"volumes"`
		DependsOn   []string          `yaml:"depends_on"`
		Grace       string            `yaml:"stop_grace_period"`
	} `yaml:"services"`
}

// wantComposition wants that the files of configs/compose.yaml fit each other and the program.
func wantComposition(t *testing.T, binary string) {
	t.Helper()
	text, err := os.ReadFile("configs/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var c composition
	if err := yaml.Load(interpolate(text), &c); err != nil {
		t.Fatal(err)
	}
	for name, s := range c.Services {
		for _, other := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, other)
			}
		}
		if s.Image == "syncgate" {
			run(t, binary, nil, append(s.Command, "--help")...) // which wants the flags before it to be right
		}
		if !strings.HasPrefix(name, "gateway-") {
			continue
		}
		t.Run(name, func(t *testing.T) { wantGateway(t, binary, s.Environment, s.Volumes, s.Grace) })
	}
	if _, ok := c.Services["gateway-2"]; !ok || c.Services["gateway-2"].Image == "" {
		t.Error("there is no second gateway")
	}
}

// interpolate replaces ${NAME:-default} by the default, as compose does where NAME is not set.
func interpolate(text []byte) []byte {
	return regexp.MustCompile(`\$\{\w+:-([^}]*)\}`).ReplaceAll(text, []byte("$1"))
}

// wantGateway checks the configuration of a gateway as its container would have it.
func wantGateway(t *testing.T, binary string, environment map[string]string, volumes []string, grace string) {
	t.Helper()
	var env []string
	for name, value := range environment {
		for _, v := range volumes {
			from, rest, _ := strings.Cut(v, ":")
			if to, _, _ := strings.Cut(rest, ":"); value == to {
				value = filepath.Join("configs", from)
			}
		}
		env = append(env, name+"="+value)
	}
	run(t, binary, env, "check")
	c, _, err := configs.Load("configs/compose/syncgate.yaml", env)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := time.ParseDuration(grace); err != nil || d <= c.Drain.Delay+c.Drain.Timeout {
		t.Errorf("stop_grace_period %s is not longer than the drain", grace)
	}
	if c.Correlator.Backend != configs.Redis {
		t.Errorf("correlator.backend is %s", c.Correlator.Backend)
	}
	wantPatientBalancer(t, c.Timeouts.Max)
}

// wantPatientBalancer wants a configuration that haproxy takes, and that waits longer than any client.
func wantPatientBalancer(t *testing.T, longest time.Duration) {
	t.Helper()
	const file = "configs/compose/haproxy.cfg"
	if out, err := exec.Command("haproxy", "-c", "-f", file).CombinedOutput(); err != nil {
		t.Errorf("haproxy -c: %v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`timeout (client|server) (\d+)s`).FindAllStringSubmatch(string(text), -1)
	if len(found) != 2 {
		t.Errorf("timeouts of client and server: %v", found)
	}
	for _, m := range found {
		if n, err := strconv.Atoi(m[2]); err != nil || time.Duration(n)*time.Second <= longest {
			t.Errorf("timeout %s %ss is not longer than the longest wait, %v", m[1], m[2], longest)
		}
	}
}
