package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

// wantFit wants objects that find each other, and a pod that Kubernetes admits everywhere.
func wantFit(t *testing.T, objects []object) {
	t.Helper()
	deployment := all[apps.Deployment](objects)[0]
	pod := deployment.Spec.Template
	wantSelected(t, deployment.Name, deployment.Spec.Selector, pod.Labels)
	if s := deployment.Spec.Strategy; (s.Type == apps.RecreateDeploymentStrategyType) != (s.RollingUpdate == nil) {
		t.Errorf("the strategy is %+v, which Kubernetes refuses", s)
	}
	wantRestricted(t, pod.Spec)
	wantContainer(t, pod.Spec)
	for _, spread := range pod.Spec.TopologySpreadConstraints {
		wantSelected(t, "topology spread", spread.LabelSelector, pod.Labels)
	}
	for _, s := range all[core.Service](objects) {
		wantSelected(t, s.Name, &meta.LabelSelector{MatchLabels: s.Spec.Selector}, pod.Labels)
		for _, p := range s.Spec.Ports {
			if portOf(pod.Spec, p.TargetPort) == 0 || p.TargetPort.StrVal != p.Name {
				t.Errorf("Service %s leads to the port %s", s.Name, p.TargetPort.String())
			}
		}
	}
	for _, b := range all[policy.PodDisruptionBudget](objects) {
		wantSelected(t, b.Name, b.Spec.Selector, pod.Labels)
	}
	for _, n := range all[networking.NetworkPolicy](objects) {
		wantSelected(t, n.Name, &n.Spec.PodSelector, pod.Labels)
	}
	for _, h := range all[autoscaling.HorizontalPodAutoscaler](objects) {
		if r := h.Spec.ScaleTargetRef; r.Kind != "Deployment" || r.APIVersion != "apps/v1" || r.Name != deployment.Name || deployment.Spec.Replicas != nil {
			t.Errorf("the autoscaler is for %+v, and the Deployment has the replicas %v", r, deployment.Spec.Replicas)
		}
	}
	wantBackends(t, objects)
	wantMonitored(t, objects)
	wantPortsAreOpen(t, objects, pod.Spec)
}

// wantSelected wants a selector that selects the labels, and not everything.
func wantSelected(t *testing.T, name string, selector *meta.LabelSelector, of map[string]string) {
	t.Helper()
	s, err := meta.LabelSelectorAsSelector(selector)
	if err != nil || s.Empty() || !s.Matches(labels.Set(of)) {
		t.Errorf("%s selects %v, %v; the labels are %v", name, s, err, of)
	}
}

// portOf gives the number of a port of the first container, 0 if there is none.
func portOf(pod core.PodSpec, port intstr.IntOrString) int32 {
	for _, p := range pod.Containers[0].Ports {
		if port.StrVal == p.Name || port.Type == intstr.Int && port.IntVal == p.ContainerPort {
			return p.ContainerPort
		}
	}
	return 0
}

// wantRestricted wants what the profile "restricted" of Pod Security admits, as https://kubernetes.io/docs/concepts/security/pod-security-standards/
// has it, and a file system that cannot be written.
func wantRestricted(t *testing.T, pod core.PodSpec) {
	t.Helper()
	p, c := pod.SecurityContext, pod.Containers[0].SecurityContext
	if p == nil || c == nil {
		t.Fatal("there is no securityContext")
	}
	admitted := map[string]bool{
		"a user other than root":     isTrue(p.RunAsNonRoot) && p.RunAsUser != nil && *p.RunAsUser == 65532,
		"a group that reads secrets": p.FSGroup != nil && *p.FSGroup == 65532,
		"the profile of seccomp":     p.SeccompProfile != nil && p.SeccompProfile.Type == core.SeccompProfileTypeRuntimeDefault,
		"no escalation":              isFalse(c.AllowPrivilegeEscalation) && !isTrue(c.Privileged),
		"no capabilities":            c.Capabilities != nil && slices.Equal(c.Capabilities.Drop, []core.Capability{"ALL"}) && c.Capabilities.Add == nil,
		"a read-only root":           isTrue(c.ReadOnlyRootFilesystem),
		"no namespace of the host":   !pod.HostNetwork && !pod.HostPID && !pod.HostIPC,
		"no token":                   isFalse(pod.AutomountServiceAccountToken),
		"no variables of Services":   isFalse(pod.EnableServiceLinks),
		"a limit of memory":          !pod.Containers[0].Resources.Limits.Memory().IsZero(),
	}
	for what, ok := range admitted {
		if !ok {
			t.Errorf("the pod does not have %s", what)
		}
	}
	wantVolumes(t, pod.Volumes)
}

// wantVolumes wants volumes that the profile admits, and Secrets that the pod's group alone reads.
func wantVolumes(t *testing.T, volumes []core.Volume) {
	t.Helper()
	for _, v := range volumes {
		if v.Secret != nil && (v.Secret.DefaultMode == nil || *v.Secret.DefaultMode != 0o440) {
			t.Errorf("others than the pod's group may read the Secret %s", v.Secret.SecretName)
		}
		if v.ConfigMap == nil && v.Secret == nil && v.EmptyDir == nil {
			t.Errorf("the volume %s is none that is admitted", v.Name)
		}
	}
}

func isTrue(b *bool) bool  { return b != nil && *b }
func isFalse(b *bool) bool { return b != nil && !*b }

// wantContainer wants a container whose names do not stand twice, whose mounts have volumes, and whose probes ask a port of it.
func wantContainer(t *testing.T, pod core.PodSpec) {
	t.Helper()
	c := pod.Containers[0]
	var volumes, env, mounted []string
	for _, v := range pod.Volumes {
		volumes = append(volumes, v.Name)
	}
	for _, e := range c.Env {
		env = append(env, e.Name)
	}
	for _, m := range c.VolumeMounts {
		if !slices.Contains(volumes, m.Name) {
			t.Errorf("the mount %s has no volume", m.Name)
		}
		if i := slices.IndexFunc(mounted, func(other string) bool { return strings.HasPrefix(m.MountPath+"/", other+"/") }); i >= 0 {
			t.Errorf("%s is inside of %s, which is read-only", m.MountPath, mounted[i])
		}
		mounted = append(mounted, m.MountPath)
	}
	for _, names := range [][]string{volumes, env} {
		if n := len(slices.Compact(slices.Sorted(slices.Values(names)))); n != len(names) {
			t.Errorf("a name stands twice: %v", names)
		}
	}
	asked := "public"
	if portOf(pod, intstr.FromString("admin")) > 0 {
		asked = "admin"
	}
	for path, probe := range map[string]*core.Probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != asked {
			t.Errorf("the probe of %s is %+v", path, probe)
		}
	}
}

// wantBackends wants that each Ingress leads to a port of a Service.
func wantBackends(t *testing.T, objects []object) {
	t.Helper()
	for _, ingress := range all[networking.Ingress](objects) {
		for _, rule := range ingress.Spec.Rules {
			for _, path := range rule.HTTP.Paths {
				s := one[core.Service](t, objects, path.Backend.Service.Name)
				if s.Name != ingress.Name || s.Spec.Ports[0].Name != path.Backend.Service.Port.Name {
					t.Errorf("Ingress %s leads to %+v", ingress.Name, path.Backend.Service)
				}
			}
		}
	}
}

// wantMonitored wants that each ServiceMonitor selects a port of one Service, and names the job as the alerts do.
func wantMonitored(t *testing.T, objects []object) {
	t.Helper()
	for _, m := range all[monitoring.ServiceMonitor](objects) {
		selector, err := meta.LabelSelectorAsSelector(&m.Spec.Selector)
		if err != nil {
			t.Fatal(err)
		}
		var ports []string
		for _, s := range all[core.Service](objects) {
			if selector.Matches(labels.Set(s.Labels)) {
				ports = append(ports, s.Spec.Ports[0].Name)
			}
		}
		e := m.Spec.Endpoints[0]
		if !slices.Equal(ports, []string{"admin"}) || e.Port != "admin" || e.Path != "/metrics" {
			t.Errorf("the ServiceMonitor selects %v, and asks %s%s", ports, e.Port, e.Path)
		}
		if r := e.RelabelConfigs[0]; r.TargetLabel != "job" || *r.Replacement != "syncgate" {
			t.Errorf("the job is %+v", r)
		}
	}
}

// wantPortsAreOpen wants that the configuration listens where the container says, and the admin listener on the loopback unless a policy is there.
func wantPortsAreOpen(t *testing.T, objects []object, pod core.PodSpec) {
	t.Helper()
	var c map[string]any
	if err := yaml.Unmarshal([]byte(configuration(t, objects)), &c); err != nil {
		t.Fatal(err)
	}
	for _, p := range pod.Containers[0].Ports {
		address, _ := at(c, "listen", p.Name).(string)
		if address != fmt.Sprint(":", p.ContainerPort) {
			t.Errorf("the port %s is %d, and the configuration has %s", p.Name, p.ContainerPort, address)
		}
	}
	if admin, _ := at(c, "listen", "admin").(string); portOf(pod, intstr.FromString("admin")) == 0 && !strings.HasPrefix(admin, "127.0.0.1:") {
		t.Errorf("the admin listener is at %s, and the container has no such port", admin)
	}
}

// configuration gives syncgate's own.
func configuration(t *testing.T, objects []object) string {
	t.Helper()
	for _, m := range all[core.ConfigMap](objects) {
		if text, ok := m.Data["syncgate.yaml"]; ok {
			return text
		}
	}
	t.Fatal("there is no configuration")
	return ""
}

// reaches says whether policies let peers of some labels in a namespace reach a port of the pods. All policies are taken to select the pods.
func reaches(t *testing.T, policies []*networking.NetworkPolicy, port int32, namespace, pod labels.Set) bool {
	t.Helper()
	return slices.ContainsFunc(policies, func(n *networking.NetworkPolicy) bool {
		return slices.ContainsFunc(n.Spec.Ingress, func(rule networking.NetworkPolicyIngressRule) bool {
			open := slices.ContainsFunc(rule.Ports, func(p networking.NetworkPolicyPort) bool { return p.Port.IntVal == port })
			return open && (len(rule.From) == 0 || slices.ContainsFunc(rule.From, func(peer networking.NetworkPolicyPeer) bool {
				return matches(t, peer.NamespaceSelector, namespace) && matches(t, peer.PodSelector, pod)
			}))
		})
	})
}

func matches(t *testing.T, selector *meta.LabelSelector, set labels.Set) bool {
	t.Helper()
	if selector == nil {
		return true
	}
	s, err := meta.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(set)
}

// TestWhoReachesWhat reads the policies as a network does.
func TestWhoReachesWhat(t *testing.T) {
	const narrow = `
networkPolicy:
  public: {from: [{namespaceSelector: {matchLabels: {name: edge}}}]}
  callback: {from: [{namespaceSelector: {matchLabels: {name: jobs}}, podSelector: {matchLabels: {app: worker}}}]}
`
	type who struct{ namespace, pod string }
	for _, c := range []struct {
		values string
		port   int32
		who    who
		want   bool
	}{
		{"{}", 8080, who{"any", "any"}, true},
		{"{}", 8081, who{"any", "any"}, true},
		{"{}", 9090, who{"any", "any"}, false},
		{"{}", 9090, who{"monitoring", "prometheus"}, true},
		{"networkPolicy: {admin: {from: []}}", 9090, who{"monitoring", "prometheus"}, false},
		{narrow, 8080, who{"edge", "nginx"}, true},
		{narrow, 8080, who{"jobs", "worker"}, false},
		{narrow, 8081, who{"jobs", "worker"}, true},
		{narrow, 8081, who{"jobs", "other"}, false},
		{narrow, 8081, who{"edge", "nginx"}, false},
		{narrow, 9090, who{"edge", "nginx"}, false},
		{"ports: {public: 18080}", 18080, who{"any", "any"}, true},
		{"ports: {public: 18080}", 8080, who{"any", "any"}, false},
	} {
		policies := all[networking.NetworkPolicy](decode(t, mustRender(t, c.values)))
		namespace := labels.Set{"kubernetes.io/metadata.name": c.who.namespace, "name": c.who.namespace}
		if got := reaches(t, policies, c.port, namespace, labels.Set{"app": c.who.pod}); got != c.want {
			t.Errorf("%s: %v reaches %d: %t", c.values, c.who, c.port, got)
		}
	}
}
