package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// openImage unpacks the tarball of an image by tar, and gives the index that its index.json names.
func openImage(t *testing.T, file string) v1.ImageIndex {
	t.Helper()
	dir := t.TempDir()
	tool(t, nil, "tar", "-xf", file, "-C", dir)
	top, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := top.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "0.1.0" {
		t.Fatalf("index.json is %+v", manifest)
	}
	index, err := top.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil { // every digest, size and layer
		t.Error(err)
	}
	return index
}

// images gives those in an index, by architecture.
func images(t *testing.T, index v1.ImageIndex) map[string]v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.MediaType != types.OCIImageIndex {
		t.Errorf("the index is %s", manifest.MediaType)
	}
	all := make(map[string]v1.Image)
	for _, m := range manifest.Manifests {
		img, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if m.MediaType != types.OCIManifestSchema1 || m.Platform.OS != "linux" {
			t.Errorf("%+v", m)
		}
		all[m.Platform.Architecture] = img
	}
	return all
}

// wantImage wants the settings and the content that the Dockerfile says.
func wantImage(t *testing.T, s shipped) {
	file := s.path("syncgate_0.1.0_image.tar")
	img := images(t, openImage(t, file))["amd64"]
	if img == nil {
		t.Fatal("there is no image for amd64")
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.OS != "linux" || config.Architecture != "amd64" || !config.Created.Equal(time.Unix(testEpoch, 0)) {
		t.Errorf("the image is for %s/%s, of %v", config.OS, config.Architecture, config.Created)
	}
	got := config.Config
	if labels := got.Labels; labels["org.opencontainers.image.version"] != "0.1.0" || labels["org.opencontainers.image.licenses"] != "Apache-2.0" {
		t.Errorf("labels: %v", labels)
	}
	got.Labels = nil // the Dockerfile has none
	want, copied := readDockerfile(t, filepath.Join(s.source, "Dockerfile"))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the image has\n%+v\nand the Dockerfile says\n%+v", got, want)
	}
	root := t.TempDir()
	unpackImage(t, img, root)
	var there []string
	for line := range strings.Lines(tool(t, nil, "find", root, "-type", "f", "-printf", "/%P %m\n")) {
		there = append(there, strings.TrimSpace(line))
	}
	slices.Sort(there)
	if !slices.Equal(there, copied) {
		t.Errorf("the image has %q, and the Dockerfile copies %q", there, copied)
	}
	wantVersion(t, filepath.Join(root, "syncgate"))
	wantAuthorities(t, filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
	wantLoadable(t, file, img)
}

// readDockerfile gives the settings of the last stage as an image has them, and the files that it copies with their modes.
func readDockerfile(t *testing.T, name string) (c v1.Config, copied []string) {
	t.Helper()
	_, last, _ := strings.Cut(string(read(t, name)), "\nFROM scratch\n")
	for line := range strings.Lines(last) {
		instruction, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch instruction {
		case "", "#":
		case "COPY":
			words := strings.Fields(args) // --from=build FROM... TO
			from, to := words[len(words)-2], words[len(words)-1]
			if strings.HasSuffix(to, "/") {
				to += filepath.Base(from)
			}
			copied = append(copied, to+map[bool]string{true: " 755", false: " 644"}[to == "/syncgate"])
		case "USER":
			c.User = args
		case "EXPOSE":
			c.ExposedPorts = map[string]struct{}{args + "/tcp": {}}
		case "STOPSIGNAL":
			c.StopSignal = args
		case "ENTRYPOINT":
			c.Entrypoint = list(t, args)
		case "CMD":
			c.Cmd = list(t, args)
		case "HEALTHCHECK":
			c.Healthcheck = healthcheck(t, args)
		default:
			t.Errorf("%s is not known to this test", line)
		}
	}
	slices.Sort(copied)
	return c, copied
}

func list(t *testing.T, text string) (words []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &words); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return words
}

// healthcheck reads --interval=5s ... CMD ["/program", "argument"].
func healthcheck(t *testing.T, args string) *v1.HealthConfig {
	t.Helper()
	flags, command, _ := strings.Cut(args, " CMD ")
	h := &v1.HealthConfig{Test: append([]string{"CMD"}, list(t, command)...)}
	durations := map[string]*time.Duration{"--interval": &h.Interval, "--timeout": &h.Timeout, "--start-period": &h.StartPeriod}
	for flag := range strings.FieldsSeq(flags) {
		key, value, _ := strings.Cut(flag, "=")
		var err error
		switch d := durations[key]; {
		case d != nil:
			*d, err = time.ParseDuration(value)
		case key == "--retries":
			err = json.Unmarshal([]byte(value), &h.Retries)
		default:
			t.Errorf("HEALTHCHECK %s is not known to this test", flag)
		}
		if err != nil {
			t.Error(err)
		}
	}
	return h
}

// unpackImage unpacks all layers of an image by tar.
func unpackImage(t *testing.T, img v1.Image, root string) {
	t.Helper()
	r := mutate.Extract(img)
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "layers.tar")
	put(t, file, body, 0o644)
	tool(t, nil, "tar", "-xpf", file, "-C", root)
}

// wantAuthorities wants certificates that Go reads, some dozens of them.
func wantAuthorities(t *testing.T, name string) {
	t.Helper()
	text := read(t, name)
	if n := bytes.Count(text, []byte("BEGIN CERTIFICATE")); n < 80 || !x509.NewCertPool().AppendCertsFromPEM(text) {
		t.Errorf("%d certificate authorities", n)
	}
}

// wantLoadable wants that the same image is found by manifest.json.
func wantLoadable(t *testing.T, file string, want v1.Image) {
	t.Helper()
	tags, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(file) })
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		if !slices.Equal(tag.RepoTags, []string{"syncgate:0.1.0-amd64"}) {
			t.Errorf("the image is named %q", tag.RepoTags)
		}
	}
	img, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if name, err := want.ConfigName(); err != nil || got != name {
		t.Errorf("manifest.json names %v, and index.json %v", got, name)
	}
}

// wantDockerfilesBinary does what the Dockerfile runs, and wants the bytes that are in the image.
func wantDockerfilesBinary(t *testing.T, s shipped) {
	if !bytes.Contains(read(t, filepath.Join(s.source, "Dockerfile")), []byte("\nRUN make build VERSION=\"$VERSION\"\n")) {
		t.Error("the Dockerfile builds by another command")
	}
	tool(t, nil, "make", "--no-print-directory", "-C", s.source, "build", "VERSION="+testVersion)
	root := t.TempDir()
	unpackImage(t, images(t, openImage(t, s.path("syncgate_0.1.0_image.tar")))["amd64"], root)
	if !bytes.Equal(read(t, filepath.Join(s.source, "bin/syncgate")), read(t, filepath.Join(root, "syncgate"))) {
		t.Error("make build writes another binary than the release has")
	}
}

// TestImageOfTwoArchitectures wants one index with an image for each, and each under its own name for a Docker that knows no index.
func TestImageOfTwoArchitectures(t *testing.T) {
	r := &release{version: testVersion, out: t.TempDir(), work: t.TempDir(), time: time.Unix(testEpoch, 0)}
	err := r.image([]built{
		{platform: platform{"linux", "amd64"}, binary: []byte("one")},
		{platform: platform{"linux", "arm64"}, binary: []byte("other")},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(r.out, "syncgate_0.1.0_image.tar")
	all := images(t, openImage(t, file))
	for arch, want := range map[string]string{"amd64": "one", "arm64": "other"} {
		root := t.TempDir()
		unpackImage(t, all[arch], root)
		if got := string(read(t, filepath.Join(root, "syncgate"))); got != want {
			t.Errorf("the image for %s has the binary %q", arch, got)
		}
		if c, err := all[arch].ConfigFile(); err != nil || c.Architecture != arch {
			t.Errorf("the configuration for %s: %+v, %v", arch, c, err)
		}
	}
	table, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(file) })
	if err != nil || len(table) != 2 || table[1].RepoTags[0] != "syncgate:0.1.0-arm64" {
		t.Errorf("manifest.json: %+v, %v", table, err)
	}
}
