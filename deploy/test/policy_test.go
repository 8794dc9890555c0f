package deploy_test

import (
	"fmt"
	"slices"
	"testing"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
)

// egress gives the ports that the pods may connect to, as protocol and number, and how many peers the rule has.
func egress(t *testing.T, values ...string) (ports []string) {
	t.Helper()
	for _, rule := range one[networking.NetworkPolicy](t, decode(t, mustRender(t, values...)), "syncgate").Spec.Egress {
		for _, p := range rule.Ports {
			ports = append(ports, fmt.Sprintf("%s %s %d", *p.Protocol, p.Port.String(), len(rule.To)))
		}
	}
	return ports
}

// TestEgress wants that pods reach what their configuration names, and nothing else.
func TestEgress(t *testing.T) {
	const engine, redis = "configuration: {engine: {url: %q, proxy: %q}}", "configuration: {correlator: {redis: {url: %q}}}"
	dns := []string{"UDP 53 0", "TCP 53 0"}
	for values, want := range map[string][]string{
		"{}":                                     {"TCP 443 0", "TCP 6379 0"},
		fmt.Sprintf(engine, "http://engine", ""): {"TCP 80 0", "TCP 6379 0"},
		fmt.Sprintf(engine, "http://engine:9000/x?y=a:5", ""):                 {"TCP 9000 0", "TCP 6379 0"},
		fmt.Sprintf(engine, "http://[2001:db8::1]:9000", ""):                  {"TCP 9000 0", "TCP 6379 0"},
		fmt.Sprintf(engine, "https://[2001:db8::1]", ""):                      {"TCP 443 0", "TCP 6379 0"},
		fmt.Sprintf(engine, "https://engine", "http://u:${PROXY}@proxy:3128"): {"TCP 3128 0", "TCP 443 0", "TCP 6379 0"},
		fmt.Sprintf(engine, "https://engine", "none"):                         {"TCP 443 0", "TCP 6379 0"},
		fmt.Sprintf(engine, "https://${PROXY}/x", ""):                         {"TCP 443 0", "TCP 6379 0"},
		fmt.Sprintf(redis, "rediss://redis"):                                  {"TCP 443 0", "TCP 6379 0"},
		fmt.Sprintf(redis, "redis://user:${PROXY}@redis:6380/1"):              {"TCP 443 0", "TCP 6380 0"},
		"configuration: {engines: [{name: a, kind: http, url: 'http://a:81/{x}', cancel: {url: 'http://b:82'}}]}": {
			"TCP 443 0", "TCP 81 0", "TCP 82 0", "TCP 6379 0",
		},
		"networkPolicy: {egress: {engines: {ports: [1, 2], to: [{ipBlock: {cidr: 192.0.2.0/24}}]}, redis: {ports: [3]}}}": {
			"TCP 1 1", "TCP 2 1", "TCP 3 0",
		},
		"configuration: {tracing: {url: 'http://collector:4318'}}":                                                                                {"TCP 443 0", "TCP 6379 0", "TCP 4318 0"},
		"configuration: {tracing: {url: 'https://collector'}}\nnetworkPolicy: {egress: {tracing: {ports: [5], to: [{podSelector: {}}]}}}":         {"TCP 443 0", "TCP 6379 0", "TCP 5 1"},
		"extraEnv: [{name: HTTPS_PROXY, value: 'http://proxy:3128'}, {name: http_proxy, value: 'proxy:3129'}]":                                    {"TCP 3128 0", "TCP 3129 0", "TCP 443 0", "TCP 6379 0"},
		"extraEnv: [{name: HTTPS_PROXY, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]\nnetworkPolicy: {egress: {engines: {ports: [3128]}}}": {"TCP 3128 0", "TCP 6379 0"},
		"networkPolicy: {egress: {extra: [{ports: [{port: 8443, protocol: TCP}]}]}}":                                                              {"TCP 443 0", "TCP 6379 0", "TCP 8443 0"},
	} {
		if got := egress(t, "secrets: {env: [{name: PROXY, secret: a, key: b}]}\n", values); !slices.Equal(got, slices.Concat(dns, want)) {
			t.Errorf("%s: %q, want %q", values, got, want)
		}
	}
	if n := one[networking.NetworkPolicy](t, decode(t, mustRender(t, "networkPolicy: {egress: {enabled: false}}")), "syncgate"); n.Spec.Egress != nil || len(n.Spec.PolicyTypes) != 1 {
		t.Errorf("without egress the policy is %+v", n.Spec)
	}
	alone := "replicas: 1\nstrategy: {type: Recreate, rollingUpdate: null}\nconfiguration: {correlator: {backend: memory}}"
	if got := egress(t, alone); !slices.Equal(got, append(dns, "TCP 443 0")) {
		t.Errorf("without Redis: %q", got)
	}
}

// TestGrace wants that a pod has more time than its drain takes.
func TestGrace(t *testing.T) {
	for values, want := range map[string]int64{
		"{}":                                    75,
		"configuration: {drain: {timeout: 5m}}": 315,
		"configuration: {drain: {delay: 7s, timeout: 1h1m1s}}":                        7 + 3661 + 10,
		"configuration: {drain: {delay: 5500ms, timeout: 100ms}}":                     6 + 1 + 10,
		"configuration: {drain: {timeout: 0s}}":                                       15,
		"terminationGracePeriodSeconds: 71":                                           71,
		"terminationGracePeriodSeconds: 600\nconfiguration: {drain: {timeout: 9m}}":   600,
		"terminationGracePeriodSeconds: 12\nconfiguration: {drain: {timeout: 900ms}}": 12,
	} {
		got := one[apps.Deployment](t, decode(t, mustRender(t, values)), "syncgate").Spec.Template.Spec.TerminationGracePeriodSeconds
		if got == nil || *got != want {
			t.Errorf("%s: %v, want %d", values, got, want)
		}
	}
}

// TestAutoscaler wants the metrics that the values name.
func TestAutoscaler(t *testing.T) {
	for values, want := range map[string]string{
		"autoscaling: {enabled: true}":                                                                             "parked 60k, cpu 70, 2 to 10",
		"autoscaling: {enabled: true, parkedClients: 0, min: 3, max: 4}":                                           "cpu 70, 3 to 4",
		"autoscaling: {enabled: true, parkedClients: 1234567, cpu: 0}\nconfiguration: {limits: {parked: 2000000}}": "parked 1234567, 2 to 10",
	} {
		h := one[autoscaling.HorizontalPodAutoscaler](t, decode(t, mustRender(t, values)), "syncgate")
		var got string
		for _, m := range h.Spec.Metrics {
			switch {
			case m.Type == autoscaling.PodsMetricSourceType && m.Pods.Metric.Name == "syncgate_parked_clients":
				got += fmt.Sprintf("parked %v, ", m.Pods.Target.AverageValue)
			case m.Type == autoscaling.ResourceMetricSourceType && m.Resource.Name == "cpu":
				got += fmt.Sprintf("cpu %d, ", *m.Resource.Target.AverageUtilization)
			}
		}
		if b := h.Spec.Behavior; b == nil || *b.ScaleDown.StabilizationWindowSeconds != 600 || b.ScaleDown.Policies[0].PeriodSeconds != 120 {
			t.Errorf("%s: the behavior is %+v: pods would end in any lull", values, b)
		}
		if got += fmt.Sprintf("%d to %d", *h.Spec.MinReplicas, h.Spec.MaxReplicas); got != want {
			t.Errorf("%s: %s, want %s", values, got, want)
		}
	}
}

// TestIngress wants a controller that waits longer than clients do and takes what the gateway takes.
func TestIngress(t *testing.T) {
	const on = "ingress: {public: {enabled: true, hosts: [a.example.com]"
	const prefix = "nginx.ingress.kubernetes.io/"
	for _, c := range []struct{ values, key, want string }{
		{on + "}}", "proxy-read-timeout", "330"},
		{on + "}}", "proxy-send-timeout", "330"},
		{on + "}}", "proxy-connect-timeout", "2"},
		{on + "}}", "proxy-body-size", "6m"},
		{on + "}}", "proxy-next-upstream", "error timeout"},
		{on + "}}", "backend-protocol", ""},
		{on + ", controller: none}}", "proxy-read-timeout", ""},
		{on + ", annotations: {" + prefix + "proxy-body-size: 1m}}}", "proxy-body-size", "1m"},
		{on + "}}\nconfiguration: {timeouts: {max: 10m}}", "proxy-read-timeout", "630"},
		{on + "}}\nconfiguration: {routes: [{name: a, path: /a, wait: {max: 20m}}, {name: b, path: /b}]}", "proxy-read-timeout", "1230"},
		{on + "}}\nconfiguration: {limits: {callback_body: 40MiB}}", "proxy-body-size", "41m"},
		{on + "}}\nconfiguration: {limits: {body: 7000000}}", "proxy-body-size", "7m"},
		{on + "}}\nconfiguration: {routes: [{name: a, path: /a, limits: {body: 1GiB}}]}", "proxy-body-size", "1025m"},
		{
			on + "}}\nsecrets: {files: [{name: syncgate}, {name: t}]}\nconfiguration: {listen: {tls: {cert_file: /secrets/t/tls.crt, key_file: /secrets/t/tls.key}}}",
			"backend-protocol", "HTTPS",
		},
	} {
		i := one[networking.Ingress](t, decode(t, mustRender(t, c.values)), "syncgate")
		if got := i.Annotations[prefix+c.key]; got != c.want {
			t.Errorf("%s: %s is %q, want %q", c.values, c.key, got, c.want)
		}
	}
}

// TestMemoryLimit wants that Go knows of the container's memory.
func TestMemoryLimit(t *testing.T) {
	for values, want := range map[string]string{
		"{}":                                   "3276MiB",
		"resources: {limits: {memory: 512Mi}}": "409MiB",
		"resources: {limits: {memory: 2G}}":    "",
		"resources: {limits: {memory: 2G}}\ngoMemLimit: 1500MiB":       "1500MiB",
		"resources: {limits: {memory: 2Gi, cpu: 4}}\ngoMemLimit: 1GiB": "1GiB",
	} {
		var got string
		for _, e := range one[apps.Deployment](t, decode(t, mustRender(t, values)), "syncgate").Spec.Template.Spec.Containers[0].Env {
			if e.Name == "GOMEMLIMIT" {
				got = e.Value
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", values, got, want)
		}
	}
}

// TestChecksum wants new pods for a new configuration and new files, and no others.
func TestChecksum(t *testing.T) {
	sum := func(values string) string {
		return one[apps.Deployment](t, decode(t, mustRender(t, values)), "syncgate").Spec.Template.Annotations["checksum/configuration"]
	}
	least := sum("{}")
	if len(least) != 64 || sum("replicas: 3") != least {
		t.Errorf("the checksum is %q, and %q with more replicas", least, sum("replicas: 3"))
	}
	seen := map[string]string{least: "{}"}
	for _, values := range []string{"configuration: {timeouts: {max: 200s}}", "ports: {public: 8088}", "files: {a: b}", "files: {a: c}"} {
		if other := seen[sum(values)]; other != "" {
			t.Errorf("%s has the checksum of %s", values, other)
		}
		seen[sum(values)] = values
	}
}

// TestServicePorts wants the ports that the values name.
func TestServicePorts(t *testing.T) {
	objects := decode(t, mustRender(t, "service: {public: {port: 8000}, callback: {port: 8001}}\nports: {admin: 8002}"))
	for name, want := range map[string]int32{"syncgate": 8000, "syncgate-callback": 8001, "syncgate-admin": 8002} {
		if got := one[core.Service](t, objects, name).Spec.Ports[0].Port; got != want {
			t.Errorf("%s has the port %d, want %d", name, got, want)
		}
	}
}
