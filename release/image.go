package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// settings are those of the Dockerfile. The health check is an extension of Docker's: others ignore it.
func settings() v1.Config {
	return v1.Config{
		User:         "65532:65532",
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
		Healthcheck: &v1.HealthConfig{
			Test: []string{"CMD", "/syncgate", "health"}, Interval: 5 * time.Second, Timeout: 4 * time.Second, StartPeriod: 2 * time.Second, Retries: 2,
		},
		StopSignal: "SIGTERM",
		Entrypoint: []string{"/syncgate"},
		Cmd:        []string{"serve"},
	}
}

// image writes one image for several architectures, as a tarball that has two tables of contents: index.json, by which OCI's tools choose the architecture, and
// manifest.json, by which an older Docker loads all of them.
func (r *release) image(binaries []built) error {
	roots, err := authorities()
	if err != nil {
		return err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var table []loadable
	for _, b := range binaries {
		img, err := r.single(b, roots)
		if err != nil {
			return err
		}
		l, err := r.loadable(img, b.platform)
		if err != nil {
			return err
		}
		table = append(table, l)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: b.os, Architecture: b.arch}},
		})
	}
	dir := layout.Path(filepath.Join(r.work, "image"))
	if _, err := layout.Write(string(dir), empty.Index); err != nil {
		return err
	}
	named := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": r.number()})
	if err := dir.AppendIndex(index, named); err != nil {
		return err
	}
	text, err := json.Marshal(table)
	if err != nil {
		return err
	}
	if err := dir.WriteFile("manifest.json", text, 0o600); err != nil {
		return err
	}
	return r.packLayout(string(dir))
}

// single is the image for one architecture, of one layer.
func (r *release) single(b built, roots []byte) (v1.Image, error) {
	var layer bytes.Buffer
	files := []file{{name, 0o755, b.binary}, {"etc/ssl/certs/ca-certificates.crt", 0o644, roots}}
	if err := writeTar(&layer, files, r.time); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil }
	l, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	at := v1.Time{Time: r.time}
	img, err := mutate.Append(base, mutate.Addendum{Layer: l, MediaType: types.OCILayer, History: v1.History{Created: at, CreatedBy: "make release"}})
	if err != nil {
		return nil, err
	}
	c, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	c = c.DeepCopy()
	c.OS, c.Architecture, c.Created, c.Config = b.os, b.arch, at, settings()
	c.Config.Labels = map[string]string{
		"org.opencontainers.image.title":    name,
		"org.opencontainers.image.version":  r.number(),
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	return mutate.ConfigFile(img, c)
}

// loadable is an entry of manifest.json. The names of the architectures differ, as the table has no other way to tell them apart.
type loadable struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (r *release) loadable(img v1.Image, p platform) (l loadable, err error) {
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	config, err := img.ConfigName()
	if err != nil {
		return l, err
	}
	layers, err := img.Layers()
	if err != nil {
		return l, err
	}
	l = loadable{Config: blob(config), RepoTags: []string{fmt.Sprintf("%s:%s-%s", name, r.number(), p.arch)}}
	for _, layer := range layers {
		h, err := layer.Digest()
		if err != nil {
			return l, err
		}
		l.Layers = append(l.Layers, blob(h))
	}
	return l, nil
}

// packLayout writes the tarball of a layout. Its layers are packed already.
func (r *release) packLayout(dir string) error {
	var files []file
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(root, name)
		files = append(files, file{name, 0o644, body})
		return err
	})
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := writeTar(&b, files, r.time); err != nil {
		return err
	}
	return r.write(fmt.Sprintf("%s_%s_image.tar", name, r.number()), b.Bytes())
}
