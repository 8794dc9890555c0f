package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// built is the program for one platform.
type built struct {
	platform
	binary  []byte
	modules *buildinfo.BuildInfo
}

// compile builds the program for a platform, as make build does: a static binary that names neither the checkout nor the machine.
func (r *release) compile(p platform) (b built, err error) {
	file := filepath.Join(r.work, p.String(), name)
	flags := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.release=" + r.version, "-o", file, "./cmd/syncgate"}
	env := slices.Concat(r.env, []string{"GOOS=" + p.os, "GOARCH=" + p.arch})
	if _, err := output(r.source, env, "go", flags...); err != nil {
		return b, err
	}
	b.platform = p
	if b.binary, err = os.ReadFile(file); err != nil {
		return b, err
	}
	b.modules, err = buildinfo.ReadFile(file)
	return b, err
}

// goEnvironment is that of every go command here. What people set to build otherwise, as a variable or by go env -w, has no say. Where the go command
// keeps its files, and where it gets modules and tools from, stays theirs.
func goEnvironment(source string) ([]string, error) {
	kept := []string{
		"GOPATH", "GOMODCACHE", "GOCACHE", "GOTMPDIR", "GOTOOLCHAIN", "GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE", "GOVCS", "GOAUTH",
	}
	text, err := output(source, nil, "go", append([]string{"env", "-json"}, kept...)...)
	if err != nil {
		return nil, err
	}
	var values map[string]string
	if err := json.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	ofGo := regexp.MustCompile(`^(GO[A-Z0-9]*|CGO_[A-Z_]*)=`)
	env := slices.DeleteFunc(os.Environ(), ofGo.MatchString)
	for _, name := range kept {
		env = append(env, name+"="+values[name])
	}
	return append(env, "GOENV=off", "GOWORK=off", "CGO_ENABLED=0"), nil
}

// documents are the files that are the same for every platform, by their names in the archive.
type documents struct {
	readme, changes, license   []byte
	reference, config, service []byte
	man, bash, zsh, fish       []byte
}

// documents reads those of the checkout, and has the program write the others.
func (r *release) documents() (*documents, error) {
	host, err := r.compile(platform{runtime.GOOS, runtime.GOARCH})
	if err != nil {
		return nil, err
	}
	program := filepath.Join(r.work, host.String(), name)
	d := new(documents)
	for file, into := range map[string]*[]byte{
		"README.md": &d.readme, "CHANGELOG.md": &d.changes, "LICENSE": &d.license,
		"configs/reference.yaml": &d.reference, "deploy/systemd/syncgate.yaml": &d.config, "deploy/systemd/syncgate.service": &d.service,
	} {
		if *into, err = os.ReadFile(filepath.Join(r.source, file)); err != nil {
			return nil, err
		}
	}
	for command, into := range map[string]*[]byte{
		"man": &d.man, "completion bash": &d.bash, "completion zsh": &d.zsh, "completion fish": &d.fish,
	} {
		if *into, err = output(r.work, []string{}, program, strings.Fields(command)...); err != nil {
			return nil, err
		}
	}
	said, err := output(r.work, []string{}, program, "version")
	if err == nil && !strings.HasPrefix(string(said), name+" "+r.version+" ") {
		err = fmt.Errorf("the program says that it is %q, and not %s", said, r.version)
	}
	return d, err
}
