//go:build linux

package deploy_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
)

// nobody is who the container runs as.
const nobody = 65532

// program builds the binary of the image, once.
var program = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "syncgate")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "syncgate"), "./cmd/syncgate")
	cmd.Dir, cmd.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return out, err
	}
	return os.ReadFile(filepath.Join(dir, "syncgate"))
})

// container is the first one of a pod: a root with the image's file and the volumes in it, and what the program gets.
type container struct {
	root string
	args []string
	env  []string
	pod  core.PodSpec
}

// newContainer makes the root as the kubelet and the image would: the binary, the ConfigMap, and each Secret that the pod mounts, whose files have the
// text of secrets, or else one that is made up.
func newContainer(t *testing.T, objects []object, secrets map[string]string) *container {
	t.Helper()
	pod := all[apps.Deployment](objects)[0].Spec.Template.Spec
	c := &container{root: t.TempDir(), args: pod.Containers[0].Args, pod: pod}
	binary, err := program()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, binary)
	}
	c.write(t, "syncgate", string(binary), 0o555)
	for name, text := range configured(objects) {
		c.write(t, "etc/syncgate/"+name, text, 0o444)
	}
	for _, path := range regexp.MustCompile(`/secrets/[-./\w]+`).FindAllString(configuration(t, objects), -1) {
		volume := c.mounts(path)
		if volume == nil {
			t.Fatalf("the configuration names %s, and the pod does not mount it", path)
		}
		text, ok := secrets[filepath.Base(path)]
		if !ok {
			text = secretOf(path)
		}
		c.write(t, path, text, os.FileMode(*volume.DefaultMode)) //nolint:gosec // a mode is never negative
	}
	for _, e := range pod.Containers[0].Env {
		value := e.Value
		if e.ValueFrom != nil {
			value = secretOf(e.Name)
		}
		c.env = append(c.env, e.Name+"="+value)
	}
	c.protect(t)
	return c
}

// configured gives the files of the ConfigMap.
func configured(objects []object) map[string]string {
	for _, m := range all[core.ConfigMap](objects) {
		if _, ok := m.Data["syncgate.yaml"]; ok {
			return maps.Clone(m.Data)
		}
	}
	return nil
}

// secretOf makes up a secret that is long enough for anything.
func secretOf(name string) string {
	return strings.Repeat(strings.ToLower(regexp.MustCompile(`\W|_`).ReplaceAllString(name, "")), 10) + "\n"
}

// mounts gives the Secret that has the file at a path of the container, nil if none has.
func (c *container) mounts(path string) *core.SecretVolumeSource {
	for _, m := range c.pod.Containers[0].VolumeMounts {
		file, below := strings.CutPrefix(path, m.MountPath+"/")
		i := slices.IndexFunc(c.pod.Volumes, func(v core.Volume) bool { return v.Name == m.Name && hasFile(v.Secret, file) })
		if below && i >= 0 {
			return c.pod.Volumes[i].Secret
		}
	}
	return nil
}

// hasFile reports whether a volume has a file. Without items it has one for each key, whatever these are.
func hasFile(secret *core.SecretVolumeSource, file string) bool {
	return secret != nil && (len(secret.Items) == 0 ||
		slices.ContainsFunc(secret.Items, func(item core.KeyToPath) bool { return item.Path == file }))
}

func (c *container) write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	path = filepath.Join(c.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// protect gives everything to root, and to the group that the volumes of the pod are given to.
func (c *container) protect(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(c.root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Chmod(path, 0o755)
		case os.Getuid() == 0:
			return os.Chown(path, 0, int(*c.pod.SecurityContext.FSGroup))
		default:
			return nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(c.root), 0o755); err != nil { // nobody has to get there
		t.Fatal(err)
	}
}

// command runs the image's program in the container: as nobody, with its root for everything, and with its variables alone.
func (c *container) command(args ...string) *exec.Cmd {
	cmd := exec.Command("/syncgate", args...)
	cmd.Dir, cmd.Env = "/", c.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.root, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		user := c.pod.SecurityContext
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(*user.RunAsUser), Gid: uint32(*user.RunAsGroup)} //nolint:gosec // TestObjects wants 65532
		return cmd
	}
	// Who is not root may have another root in a namespace of users alone.
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getgid(), Size: 1}}
	return cmd
}

// TestCheck wants that the program takes the configuration of every variant, in the container that the Deployment describes.
func TestCheck(t *testing.T) {
	pair := certificate(t)
	for name, text := range variants(t) {
		c := newContainer(t, decode(t, mustRender(t, text)), pair)
		var out bytes.Buffer
		cmd := c.command("check")
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, &out)
		}
		if strings.Contains(out.String(), "warning") {
			t.Errorf("%s: %s", name, &out)
		}
	}
}

// TestDefaults wants that what the templates take for the program's defaults are its defaults.
func TestDefaults(t *testing.T) {
	reference, err := newContainer(t, decode(t, mustRender(t)), nil).command("check", "--reference").Output()
	if err != nil {
		t.Fatal(err)
	}
	const on = "autoscaling: {enabled: true}\ningress: {public: {enabled: true, hosts: [a]}, callback: {enabled: true, hosts: [b]}}"
	with := func(sections map[string]any) rendering {
		all := values(t, on)
		c, _ := all["configuration"].(map[string]any)
		for _, section := range []string{"drain", "timeouts", "limits", "engine"} {
			c[section] = sections[section]
			if sections[section] == nil {
				delete(c, section)
			}
		}
		out, err := render(load(t), all)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	none, all := with(nil), with(lay(t, string(reference)))
	checksum := regexp.MustCompile(`checksum/configuration: .*`)
	for _, name := range []string{"deployment.yaml", "networkpolicy.yaml", "ingress.yaml", "horizontalpodautoscaler.yaml", "NOTES.txt"} {
		if got, want := checksum.ReplaceAllString(none[name], ""), checksum.ReplaceAllString(all[name], ""); got != want || got == "" {
			t.Errorf("%s differs when the defaults of the reference are set:\n%s\n%s", name, got, want)
		}
	}
}
