package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// files of both packages, by their paths.
func commonFiles() []string {
	return []string{
		"/etc/syncgate/syncgate.yaml",
		"/usr/bin/syncgate",
		"/usr/lib/systemd/system/syncgate.service",
		"/usr/share/bash-completion/completions/syncgate",
		"/usr/share/doc/syncgate/CHANGELOG.md",
		"/usr/share/doc/syncgate/README.md",
		"/usr/share/doc/syncgate/reference.yaml",
		"/usr/share/fish/vendor_completions.d/syncgate.fish",
		"/usr/share/man/man1/syncgate.1.gz",
	}
}

// wantDeb reads the deb by dpkg.
func wantDeb(t *testing.T, s shipped) {
	deb, root := s.path("syncgate_0.1.0_amd64.deb"), t.TempDir()
	for field, want := range map[string]string{
		"Package": "syncgate", "Version": "0.1.0", "Architecture": "amd64", "Section": "net", "Priority": "optional", "Maintainer": maintainer,
	} {
		if got := strings.TrimSpace(tool(t, nil, "dpkg-deb", "--field", deb, field)); got != want {
			t.Errorf("%s is %q", field, got)
		}
	}
	if info := tool(t, nil, "dpkg-deb", "--info", deb); !strings.Contains(info, "postinst") || !strings.Contains(info, "\n Description: synchronous answers") {
		t.Errorf("dpkg-deb --info:\n%s", info)
	}
	if got := tool(t, nil, "dpkg-deb", "--info", deb, "conffiles"); got != "/etc/syncgate/syncgate.yaml\n" {
		t.Errorf("conffiles: %q", got)
	}
	for script, file := range map[string]string{"postinst": "postinstall.sh", "prerm": "preremove.sh", "postrm": "postremove.sh"} {
		if got := tool(t, nil, "dpkg-deb", "--info", deb, script); got != string(read(t, filepath.Join(s.source, "deploy/packages", file))) {
			t.Errorf("%s is not deploy/packages/%s", script, file)
		}
	}
	wantListing(t, tool(t, []string{"TZ=UTC"}, "dpkg-deb", "--contents", deb), append(commonFiles(),
		"/usr/share/doc/syncgate/LICENSES-OF-MODULES", "/usr/share/doc/syncgate/copyright", "/usr/share/zsh/vendor-completions/_syncgate"))
	tool(t, nil, "dpkg", "--extract", deb, root)
	wantInstalled(t, s, root)
}

// wantListing reads lines as of ls -l: what is there, that only the program may be run, that all belongs to root, and that all has the time of the release.
func wantListing(t *testing.T, listing string, want []string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(listing) {
		words := strings.Fields(line)
		name := strings.TrimPrefix(words[5], ".")
		mode := "-rw-r--r--"
		switch {
		case strings.HasSuffix(name, "/"):
			mode = "drwxr-xr-x"
		case name == "/usr/bin/syncgate":
			mode = "-rwxr-xr-x"
		}
		if words[0] != mode || words[1] != "root/root" || words[3] != "2026-01-01" {
			t.Errorf("mode, owner or time: %s", line)
		}
		if mode[0] == '-' {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the package has %q", got)
	}
}

// wantInstalled looks at the files of a package in a directory: the program runs, the unit is right and starts that program over that configuration.
func wantInstalled(t *testing.T, s shipped, root string) {
	t.Helper()
	program := filepath.Join(root, "usr/bin/syncgate")
	wantVersion(t, program)
	wantTexts(t, s, program, map[string]string{
		"completion bash": filepath.Join(root, "usr/share/bash-completion/completions/syncgate"),
		"completion fish": filepath.Join(root, "usr/share/fish/vendor_completions.d/syncgate.fish"),
	})
	z, err := gzip.NewReader(bytes.NewReader(read(t, filepath.Join(root, "usr/share/man/man1/syncgate.1.gz"))))
	if err != nil {
		t.Fatal(err)
	}
	if man, err := io.ReadAll(z); err != nil || !bytes.Contains(man, []byte(`.TH SYNCGATE 1 "" "syncgate `+testVersion+`"`)) {
		t.Errorf("the manual page: %v\n%.200s", err, man)
	}
	wantUnit(t, root)
}

// wantUnit verifies the unit by systemd. Its programs are those in the directory, as systemd looks for them.
func wantUnit(t *testing.T, root string) {
	t.Helper()
	text := string(read(t, filepath.Join(root, "usr/lib/systemd/system/syncgate.service")))
	programs := regexp.MustCompile(`(?m)^Exec\w+=(\S+)`).FindAllStringSubmatch(text, -1)
	if len(programs) < 3 {
		t.Errorf("the unit starts %q", programs)
	}
	for _, p := range programs {
		if p[1] != "/usr/bin/syncgate" && p[1] != "/bin/kill" {
			t.Errorf("the unit starts %s, which the package does not have", p[1])
		}
	}
	config := filepath.Join(root, "etc/syncgate/syncgate.yaml")
	here := strings.NewReplacer("/usr/bin/syncgate", filepath.Join(root, "usr/bin/syncgate"), "/etc/syncgate/syncgate.yaml", config)
	unit := filepath.Join(t.TempDir(), "syncgate.service")
	put(t, unit, []byte(here.Replace(text)), 0o644)
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	for _, secret := range []string{"secret", "callback-keys"} {
		put(t, filepath.Join(root, "etc/syncgate", secret), []byte(strings.Repeat(secret, 40)), 0o400)
	}
	tool(t, []string{"CREDENTIALS_DIRECTORY=" + filepath.Join(root, "etc/syncgate")}, filepath.Join(root, "usr/bin/syncgate"), "check", "--quiet", "--config", config)
}

// wantRPM reads the rpm by rpm.
func wantRPM(t *testing.T, s shipped) {
	pkg, root := s.path("syncgate-0.1.0-1.x86_64.rpm"), t.TempDir()
	query := func(args ...string) string {
		return tool(t, []string{"TZ=UTC"}, "rpm", append([]string{"--dbpath", t.TempDir(), "--query", "--package", pkg}, args...)...)
	}
	const format = "%{NAME} %{VERSION} %{RELEASE} %{ARCH} %{LICENSE} %{BUILDHOST} %{BUILDTIME}"
	if got := query("--queryformat", format); got != "syncgate 0.1.0 1 x86_64 Apache-2.0 localhost 1767225600" {
		t.Errorf("the rpm is %q", got)
	}
	if got := tool(t, nil, "rpm", "--dbpath", t.TempDir(), "--checksig", pkg); !strings.Contains(got, "digests OK") {
		t.Errorf("rpm --checksig: %s", got)
	}
	if got := query("--configfiles"); got != "/etc/syncgate/syncgate.yaml\n" {
		t.Errorf("files of the configuration: %q", got)
	}
	if got := query("--queryformat", "[%{FILENAMES} %{FILEFLAGS:fflags}\n]"); !strings.Contains(got, "/etc/syncgate/syncgate.yaml cn\n") {
		t.Errorf("an upgrade would replace the configuration: %s", got)
	}
	scripts := query("--scripts")
	for _, file := range []string{"postinstall.sh", "preremove.sh", "postremove.sh"} {
		if !strings.Contains(scripts, strings.TrimSpace(string(read(t, filepath.Join(s.source, "deploy/packages", file))))) {
			t.Errorf("deploy/packages/%s is not in the rpm:\n%s", file, scripts)
		}
	}
	var listing strings.Builder
	for line := range strings.Lines(query("--queryformat", "[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} 0 %{FILEMTIMES:day} 0 %{FILENAMES}\n]")) {
		line = strings.TrimSpace(line)
		if line[0] == 'd' {
			line += "/"
		}
		listing.WriteString(strings.Replace(line, "Thu Jan 01 2026", "2026-01-01", 1) + "\n")
	}
	wantListing(t, listing.String(), append(commonFiles(),
		"/usr/share/licenses/syncgate/LICENSE", "/usr/share/licenses/syncgate/LICENSES-OF-MODULES", "/usr/share/zsh/site-functions/_syncgate"))
	unpackRPM(t, pkg, root)
	wantInstalled(t, s, root)
}

// unpackRPM unpacks an rpm as tar.
func unpackRPM(t *testing.T, pkg, root string) {
	t.Helper()
	from, err := os.Open(pkg)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	convert := exec.Command("rpm2archive", "-")
	convert.Stdin = from
	packed, err := convert.Output()
	if err != nil {
		t.Fatalf("rpm2archive: %v", err)
	}
	unpack := exec.Command("tar", "-xz", "-C", root)
	unpack.Stdin = bytes.NewReader(packed)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
}

// small is a package of a version, whose program is a script.
func small(t *testing.T, version string) string {
	t.Helper()
	r := &release{version: version, source: "..", out: t.TempDir(), work: t.TempDir(), time: time.Unix(testEpoch, 0)}
	docs := &documents{config: []byte("# the example of " + version + "\n"), service: read(t, "../deploy/systemd/syncgate.service")}
	for _, text := range []*[]byte{&docs.readme, &docs.changes, &docs.license, &docs.reference, &docs.man, &docs.bash, &docs.zsh, &docs.fish} {
		*text = []byte("text\n")
	}
	b := built{platform: platform{"linux", "amd64"}, binary: []byte("#!/bin/sh\necho " + version + "\n")}
	if err := r.packages(b, docs, []byte("licences\n")); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(r.out, "syncgate_"+r.number()+"_amd64.deb")
}

// TestDebKeepsWhatPeopleWrote installs, upgrades, removes and purges the deb by dpkg in a directory: an edited configuration and secrets stay.
func TestDebKeepsWhatPeopleWrote(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644)
	for _, dir := range []string{"var/lib/dpkg/updates", "var/lib/dpkg/info", "var/log"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := "PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin"
	dpkg := func(args ...string) string {
		return tool(t, []string{path}, "dpkg", append([]string{"--root=" + root, "--force-script-chrootless,not-root,confold,architecture"}, args...)...)
	}
	program, config, secret := filepath.Join(root, "usr/bin/syncgate"), filepath.Join(root, "etc/syncgate/syncgate.yaml"), filepath.Join(root, "etc/syncgate/secret")

	if said := dpkg("--install", small(t, "v0.1.0")); !strings.Contains(said, "installed and not started") {
		t.Errorf("the installation says:\n%s", said)
	}
	put(t, config, []byte("edited\n"), 0o644)
	put(t, secret, []byte("secret\n"), 0o400)
	if said := dpkg("--install", small(t, "v0.2.0-rc.1")); !strings.Contains(said, "one node at a time") || strings.Contains(said, "not started") {
		t.Errorf("the upgrade says:\n%s", said)
	}
	if got := tool(t, nil, program); got != "v0.2.0-rc.1\n" {
		t.Errorf("after the upgrade the program is %s", got)
	}
	if got := string(read(t, config)); got != "edited\n" {
		t.Errorf("after the upgrade the configuration is %q", got)
	}
	dpkg("--install", small(t, "v0.2.0")) // the candidate is older than the release
	if got := tool(t, nil, program); got != "v0.2.0\n" {
		t.Errorf("after the second upgrade the program is %s", got)
	}
	dpkg("--remove", "syncgate")
	if _, err := os.Stat(program); !os.IsNotExist(err) {
		t.Errorf("the program after its removal: %v", err)
	}
	if got := string(read(t, config)); got != "edited\n" {
		t.Errorf("after the removal the configuration is %q", got)
	}
	dpkg("--purge", "syncgate")
	if got := string(read(t, secret)); got != "secret\n" {
		t.Errorf("after the purge the secret is %q", got)
	}
}

// TestCandidatesAreOlder wants that both kinds of packages know that a candidate comes before its release.
func TestCandidatesAreOlder(t *testing.T) {
	deb := strings.TrimSpace(tool(t, nil, "dpkg-deb", "--field", small(t, "v0.2.0-rc.1"), "Version"))
	tool(t, nil, "dpkg", "--compare-versions", deb, "lt", "0.2.0")
	tool(t, nil, "dpkg", "--compare-versions", deb, "gt", "0.1.9")
	later := strings.TrimSpace(tool(t, nil, "dpkg-deb", "--field", small(t, "v0.2.0-rc.10"), "Version"))
	tool(t, nil, "dpkg", "--compare-versions", deb, "lt", later)
	rpm, err := filepath.Glob(filepath.Join(filepath.Dir(small(t, "v0.2.0-rc.1")), "*.rpm"))
	if err != nil || len(rpm) != 1 {
		t.Fatalf("rpms: %q, %v", rpm, err)
	}
	version := tool(t, nil, "rpm", "--dbpath", t.TempDir(), "--query", "--package", rpm[0], "--queryformat", "%{VERSION}-%{RELEASE}")
	if got := strings.TrimSpace(tool(t, nil, "rpm", "--eval", `%{lua:print(rpm.vercmp("`+version+`", "0.2.0-1"))}`)); got != "-1" {
		t.Errorf("rpm compares %s and 0.2.0-1: %s", version, got)
	}
}

// TestScripts runs the scripts of the packages with the arguments that dpkg and rpm give them, where a systemctl writes down what it is asked for.
func TestScripts(t *testing.T) {
	const reload, disable = "daemon-reload\n", "disable --now syncgate.service\n"
	for _, c := range []struct{ script, args, want string }{
		{"postinstall", "configure", reload},
		{"postinstall", "configure 0.1.0", reload},
		{"postinstall", "1", reload},
		{"postinstall", "2", reload},
		{"preremove", "remove", disable},
		{"preremove", "0", disable},
		{"preremove", "upgrade 0.2.0", ""},
		{"preremove", "1", ""},
		{"preremove", "deconfigure in-favour other 1", ""},
		{"postremove", "remove", reload},
		{"postremove", "purge", reload},
		{"postremove", "0", reload},
		{"postremove", "upgrade 0.2.0", ""},
		{"postremove", "1", ""},
	} {
		t.Run(c.script+" "+c.args, func(t *testing.T) {
			if got := scripted(t, c.script, c.args, true); got != c.want {
				t.Errorf("systemctl is asked for %q, not %q", got, c.want)
			}
			if got := scripted(t, c.script, c.args, false); got != "" {
				t.Errorf("without systemd, systemctl is asked for %q", got)
			}
			if got := scripted(t, c.script, c.args, true, "DPKG_ROOT=/elsewhere"); got != "" {
				t.Errorf("in another root, systemctl is asked for %q", got)
			}
		})
	}
}

// TestPostinstallSays wants that people hear what has happened, and nothing where dpkg has put the old version back.
func TestPostinstallSays(t *testing.T) {
	const installed, upgraded = "installed and not started", "one node at a time"
	for args, want := range map[string]string{
		"configure": installed, "1": installed, "configure 0.1.0": upgraded, "2": upgraded,
		"abort-upgrade 0.2.0": "", "abort-remove": "", "abort-deconfigure in-favour other 1": "",
	} {
		said := tool(t, []string{"DPKG_ROOT=/elsewhere"}, "sh", append([]string{"../deploy/packages/postinstall.sh"}, strings.Fields(args)...)...)
		if (want == "") != (said == "") || !strings.Contains(said, want) {
			t.Errorf("postinstall %s says %q", args, said)
		}
	}
}

// scripted runs a script, and gives what it asked systemctl for.
func scripted(t *testing.T, script, args string, systemd bool, env ...string) string {
	t.Helper()
	dir := t.TempDir()
	asked, running := filepath.Join(dir, "asked"), filepath.Join(dir, "running")
	put(t, asked, nil, 0o644)
	put(t, filepath.Join(dir, "bin", "systemctl"), []byte("#!/bin/sh\necho \"$@\" >>"+asked+"\nexit 1\n"), 0o755) // what fails must not stop a removal
	if systemd {
		if err := os.Mkdir(running, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.ReplaceAll(string(read(t, "../deploy/packages/"+script+".sh")), "/run/systemd/system", running)
	file := filepath.Join(dir, script)
	put(t, file, []byte(text), 0o755)
	tool(t, append(env, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH")), "sh", append([]string{file}, strings.Fields(args)...)...)
	return string(read(t, asked))
}
