// Command release builds what a version of syncgate is shipped as: archives, packages for Debian and Red Hat and their like, an image, lists of the
// modules in each binary (SBOM), and the checksums of all of them.
//
// Two runs over the same commit with the same version of Go write the same bytes, in any directory and at any time. So times come from the commit,
// owners and modes from this program, and every list is sorted. Nothing of the machine is in the result: the certificate authorities of the image come
// from a module, and the name of the machine is nowhere.
//
// It is a module of its own: what it needs stays out of the module that is shipped.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const name = "syncgate"

// release is one version, and where it is made of what.
type release struct {
	version string // as in v0.1.0 and v0.1.0-rc.1
	source  string // the checkout
	out     string // the directory of the results
	work    string // a directory for what is needed on the way
	time    time.Time
	env     []string // of the go command
}

// platform is what a binary runs on, in Go's words.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "_" + p.arch }

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run makes the release that the arguments describe.
func run(args []string, log io.Writer) error {
	fs := flag.NewFlagSet("release", flag.ContinueOnError)
	fs.SetOutput(log)
	version := fs.String("version", "", "the `version`, as in v0.1.0")
	source := fs.String("source", "..", "the `directory` of the checkout")
	out := fs.String("out", "../dist", "the `directory` of the results; it has to be new or empty")
	on := fs.String("platforms", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64", "the `platforms` to build for")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%s is not a flag", fs.Arg(0))
	}
	platforms, err := parsePlatforms(*on)
	if err != nil {
		return err
	}
	r, err := newRelease(*version, *source, *out)
	if err != nil {
		return err
	}
	defer os.RemoveAll(r.work)
	return r.build(platforms, log)
}

// newRelease checks what a release is made of. The directory work is the caller's to remove.
func newRelease(version, source, out string) (*release, error) {
	const word = `(0|[1-9]\d*|\d*[A-Za-z][0-9A-Za-z]*)` // of a candidate; a number has no zeros before it
	if strings.HasSuffix(version, "-dirty") {           // as git describe says of a tag
		return nil, fmt.Errorf("%s: the checkout has changes that are in no commit, so nobody could build this release again", version)
	}
	// Packages have no word for build metadata (+...), which says nothing of the order of two versions.
	if !regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-` + word + `(\.` + word + `)*)?$`).MatchString(version) {
		return nil, fmt.Errorf("%q is not the version of a release: name one such as v0.1.0 or v0.1.0-rc.1, as in make release VERSION=v0.1.0", version)
	}
	if there, err := os.ReadDir(out); err == nil && len(there) > 0 {
		return nil, fmt.Errorf("%s is not empty: remove it, so that nothing of another release stays in it", out)
	}
	at, err := sourceTime(source)
	if err != nil {
		return nil, err
	}
	env, err := goEnvironment(source)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "syncgate-release-")
	if err != nil {
		return nil, err
	}
	return &release{version: version, source: source, out: out, work: work, time: at, env: env}, nil
}

// sourceTime is the time that everything in the release has: SOURCE_DATE_EPOCH, in seconds since 1970, or else the time of the commit.
func sourceTime(source string) (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, err := output(source, nil, "git", "log", "-1", "--format=%ct")
		if err != nil {
			return time.Time{}, fmt.Errorf("the time of the commit: %w; set SOURCE_DATE_EPOCH where there is no git", err)
		}
		text = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("%q is no time: SOURCE_DATE_EPOCH has seconds since 1970", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func parsePlatforms(list string) (all []platform, err error) {
	for text := range strings.SplitSeq(list, ",") {
		system, arch, ok := strings.Cut(text, "/")
		if !ok || system == "" || arch == "" {
			return nil, fmt.Errorf("%q is no platform: name some such as linux/amd64,darwin/arm64", text)
		}
		all = append(all, platform{system, arch})
	}
	return all, nil
}

// build writes everything. Each step says what it does, as the whole takes minutes.
func (r *release) build(platforms []platform, log io.Writer) error {
	docs, err := r.documents()
	if err != nil {
		return err
	}
	var images []built
	for _, p := range platforms {
		fmt.Fprintln(log, "building for", p)
		b, err := r.compile(p)
		if err != nil {
			return err
		}
		if err := r.ship(b, docs); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		if p.os == "linux" {
			images = append(images, b)
		}
	}
	if len(images) > 0 {
		fmt.Fprintln(log, "building the image")
		if err := r.image(images); err != nil {
			return fmt.Errorf("the image: %w", err)
		}
	}
	return r.sums()
}

// ship writes what there is for one platform: the archive and the modules, and for Linux the packages.
func (r *release) ship(b built, docs *documents) error {
	licenses, err := r.licenses(b.modules)
	if err != nil {
		return err
	}
	if err := r.archive(b, docs, licenses); err != nil {
		return err
	}
	if err := r.bom(b); err != nil {
		return err
	}
	if b.os != "linux" {
		return nil
	}
	return r.packages(b, docs, licenses)
}

// number is the version without its v, as files and packages are named.
func (r *release) number() string { return strings.TrimPrefix(r.version, "v") }

// write writes a file of the release.
func (r *release) write(name string, body []byte) error {
	return os.WriteFile(filepath.Join(r.out, name), body, 0o644)
}

// output runs a program and gives what it wrote. An error has what it said.
func output(dir string, env []string, program string, args ...string) ([]byte, error) {
	cmd := exec.Command(program, args...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = dir, env, &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err), errors.New(strings.TrimSpace(stderr.String())))
	}
	return out, nil
}
