package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/goreleaser/nfpm/v2/rpm"
)

const description = `synchronous answers from an asynchronous engine
syncgate is an HTTP gateway. A client's request becomes a task of an asynchronous engine; the client's connection stays open, and the
engine's callback becomes the answer. The service starts when /etc/syncgate/syncgate.yaml has been edited and the service enabled.`

// maintainer has no address that takes mail: SECURITY.md and the issues of the repository are the ways to reach people.
const maintainer = "The maintainers of syncgate <syncgate@localhost>"

// placed is a file of a package, by its path on the machine. Kind is one of nfpm's, and empty for a plain file.
type placed struct {
	file
	kind string
	only string // the kind of package that has it; empty: both
}

// packages writes the deb and the rpm of a platform.
func (r *release) packages(b built, docs *documents, licenses []byte) error {
	contents, err := r.contents(b, docs, licenses)
	if err != nil {
		return err
	}
	for _, kind := range []struct {
		name   string
		writer nfpm.Packager
	}{{"deb", deb.Default}, {"rpm", rpm.DefaultRPM}} {
		info := r.info(b.platform, contents)
		if err := nfpm.PrepareForPackager(info, kind.name); err != nil {
			return err
		}
		var pkg bytes.Buffer
		if err := kind.writer.Package(info, &pkg); err != nil {
			return err
		}
		// 0.2.0~rc.1 comes before 0.2.0. In the name of a file the ~ is replaced, as places that keep releases replace it each in its own way.
		name := strings.ReplaceAll(kind.writer.ConventionalFileName(info), "~", "-")
		if err := r.write(name, pkg.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// info describes a package. Nothing of it may come from the machine or the clock.
func (r *release) info(p platform, contents files.Contents) *nfpm.Info {
	script := func(name string) string { return filepath.Join(r.source, "deploy", "packages", name) }
	return nfpm.WithDefaults(&nfpm.Info{
		Name:            name,
		Arch:            p.arch,
		Platform:        p.os,
		Version:         r.number(),
		VersionSchema:   "semver",
		Section:         "net",
		Priority:        "optional",
		Maintainer:      maintainer,
		Description:     description,
		License:         "Apache-2.0",
		MTime:           r.time,
		DisableGlobbing: true,
		Overridables: nfpm.Overridables{
			Contents: slices.Clone(contents),
			Scripts: nfpm.Scripts{
				PostInstall: script("postinstall.sh"),
				PreRemove:   script("preremove.sh"),
				PostRemove:  script("postremove.sh"),
			},
			RPM: nfpm.RPM{BuildHost: "localhost", Group: "System Environment/Daemons", Summary: "synchronous answers from an asynchronous engine"},
		},
	})
}

// contents lays out the files of packages. The writers of packages read them from a directory.
func (r *release) contents(b built, docs *documents, licenses []byte) (all files.Contents, err error) {
	man, err := compress(docs.man)
	if err != nil {
		return nil, err
	}
	for _, f := range place(b, docs, man, licenses) {
		source := filepath.Join(r.work, b.String(), "root", f.only, f.name)
		if err := os.MkdirAll(filepath.Dir(source), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(source, f.body, 0o600); err != nil {
			return nil, err
		}
		all = append(all, &files.Content{
			Source: source, Destination: f.name, Type: f.kind, Packager: f.only,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: f.mode, MTime: r.time},
		})
	}
	own := &files.ContentFileInfo{Owner: "root", Group: "root", Mode: 0o755, MTime: r.time}
	return append(all, &files.Content{Destination: "/etc/syncgate", Type: files.TypeDir, FileInfo: own}), nil
}

// place says which file goes where. The configuration is the only one that belongs to the people of the machine: an upgrade keeps what they wrote.
func place(b built, docs *documents, man, licenses []byte) []placed {
	unit := bytes.ReplaceAll(docs.service, []byte("/usr/local/bin/syncgate"), []byte("/usr/bin/syncgate"))
	return []placed{
		{file{"/usr/bin/syncgate", 0o755, b.binary}, "", ""},
		{file{"/usr/lib/systemd/system/syncgate.service", 0o644, unit}, "", ""},
		{file{"/etc/syncgate/syncgate.yaml", 0o644, docs.config}, files.TypeConfigNoReplace, ""},
		{file{"/usr/share/man/man1/syncgate.1.gz", 0o644, man}, "", ""},
		{file{"/usr/share/bash-completion/completions/syncgate", 0o644, docs.bash}, "", ""},
		{file{"/usr/share/fish/vendor_completions.d/syncgate.fish", 0o644, docs.fish}, "", ""},
		{file{"/usr/share/zsh/vendor-completions/_syncgate", 0o644, docs.zsh}, "", "deb"},
		{file{"/usr/share/zsh/site-functions/_syncgate", 0o644, docs.zsh}, "", "rpm"},
		{file{"/usr/share/doc/syncgate/README.md", 0o644, docs.readme}, "", ""},
		{file{"/usr/share/doc/syncgate/CHANGELOG.md", 0o644, docs.changes}, "", ""},
		{file{"/usr/share/doc/syncgate/reference.yaml", 0o644, docs.reference}, "", ""},
		{file{"/usr/share/doc/syncgate/copyright", 0o644, docs.license}, "", "deb"},
		{file{"/usr/share/doc/syncgate/LICENSES-OF-MODULES", 0o644, licenses}, "", "deb"},
		{file{"/usr/share/licenses/syncgate/LICENSE", 0o644, docs.license}, files.TypeRPMLicense, "rpm"},
		{file{"/usr/share/licenses/syncgate/LICENSES-OF-MODULES", 0o644, licenses}, files.TypeRPMLicense, "rpm"},
	}
}
