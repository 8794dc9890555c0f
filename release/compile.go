package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
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
	if _, err := output(r.source, environment(p), "go", flags...); err != nil {
		return b, err
	}
	b.platform = p
	if b.binary, err = os.ReadFile(file); err != nil {
		return b, err
	}
	b.modules, err = buildinfo.ReadFile(file)
	return b, err
}

// environment is that of a build: what people set to build otherwise has no say.
func environment(p platform) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"GOFLAGS", "GOWORK", "GOEXPERIMENT", "GOFIPS140", "GODEBUG", "GOAMD64", "GOARM64", "CGO_ENABLED", "GOOS", "GOARCH"}, name)
	})
	return append(env, "GOFLAGS=", "GOWORK=off", "GOAMD64=v1", "GOARM64=v8.0", "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch)
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
