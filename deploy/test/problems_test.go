package deploy_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
)

// wantProblems wants an error for each of some values, with a text.
func wantProblems(t *testing.T, all map[string]string) {
	t.Helper()
	for values, want := range all {
		_, err := render(load(t), lay(t, read(t, leastFile), values))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, want %q", values, err, want)
		}
	}
}

// TestProblemsOfPods wants an error that says what to do, where pods would lose who waits, or could not be more.
func TestProblemsOfPods(t *testing.T) {
	alone := "replicas: 1\nstrategy: {type: Recreate, rollingUpdate: null}\nconfiguration: {correlator: {backend: memory}}\n"
	wantProblems(t, map[string]string{
		"terminationGracePeriodSeconds: 70":                                                 "terminationGracePeriodSeconds is 70, and a pod may take 71 s to end",
		"terminationGracePeriodSeconds: 100\nconfiguration: {drain: {timeout: 95s}}":        "drain.timeout of the configuration are 100 s together",
		"configuration: {drain: {timeout: 60}}":                                             `configuration.drain.timeout is "60". It must be a duration`,
		"configuration: {drain: {delay: '${DELAY}'}}\nextraEnv: [{name: DELAY, value: 9s}]": "so it cannot be a variable",
		"configuration: {drain: {delay: 2s}}":                                               "drain.delay is 2 s, and the readiness probe takes up to 2 s",
		"probes: {readiness: {failureThreshold: 3}}":                                        "the readiness probe takes up to 6 s",
		"extraEnv: [{name: SYNCGATE_DRAIN_TIMEOUT, value: 9m}]":                             "The variable SYNCGATE_DRAIN_TIMEOUT would override",
		"secrets: {env: [{name: SYNCGATE_LISTEN_ADMIN, secret: a, key: b}]}":                "The variable SYNCGATE_LISTEN_ADMIN would override",
		"extraEnv: [{name: SYNCGATE_CONFIG, value: /x}]":                                    "The variable SYNCGATE_CONFIG would override",
		"configuration: {correlator: {backend: memory}}":                                    "There may be 2 pods, and configuration.correlator.backend is memory",
		"replicas: 1\nconfiguration: {correlator: {backend: memory}}":                       "an upgrade would have two pods for a while",
		alone + "autoscaling: {enabled: true}":                                              "There may be 10 pods",
		"configuration: {correlator: {redis: {url: ''}}}":                                   "configuration.correlator.redis.url is missing",
		"configuration: {callback: {keys_file: ''}}":                                        "configuration.callback.keys_file is missing",
		"configuration: {callback: {base_url: ''}}":                                         "it is http://syncgate-callback.default.svc:80",
		"autoscaling: {enabled: true, cpu: 0, parkedClients: 0}":                            "autoscaling has neither parkedClients nor cpu",
		"autoscaling: {enabled: true, min: 5, max: 3}":                                      "autoscaling.min is 5, and autoscaling.max is 3",
		"autoscaling: {enabled: true}\nconfiguration: {limits: {parked: 60000}}":            "autoscaling.parkedClients is 60000, and configuration.limits.parked is 60000",
	})
}

// TestProblemsOfTheNetwork wants an error that says what to do, where somebody would reach too much, or nobody enough.
func TestProblemsOfTheNetwork(t *testing.T) {
	wantProblems(t, map[string]string{
		"configuration: {listen: {public: ':80'}}":                                             "Set ports.public",
		"configuration: {listen: {admin: '0.0.0.0:9090'}}":                                     "Set ports.admin",
		"configuration: {listen: {callback: ':80'}}":                                           "Set ports.callback",
		"image: {repository: ''}":                                                              "image.repository is missing",
		"ports: {callback: 8080}":                                                              "must differ",
		"networkPolicy: {enabled: false}\nserviceMonitor: {enabled: true}":                     "serviceMonitor.enabled needs the admin listener",
		"networkPolicy: {admin: {from: []}}\nserviceMonitor: {enabled: true}":                  "serviceMonitor.enabled needs networkPolicy.admin.from",
		"networkPolicy: {enabled: false}\nconfiguration: {listen: {proxy_protocol: [public]}}": "which no probe speaks",
		"ingress: {public: {enabled: true}}":                                                   "ingress.public.hosts is empty",
		"configuration: {engine: {url: '${ENGINE}'}}\nextraEnv: [{name: ENGINE, value: x}]":    "Set networkPolicy.egress.engines.ports",
		"configuration: {correlator: {redis: {mode: sentinel}}}":                               "Set networkPolicy.egress.redis.ports",
	})
}

// TestProblemsOfSecrets wants an error that says what to do, where a secret would get into a ConfigMap, or is not there.
func TestProblemsOfSecrets(t *testing.T) {
	wantProblems(t, map[string]string{
		"configuration: {auth: {credentials: [{login: '1', secret: abc}]}}":                  "configuration.auth.credentials[0].secret has a secret",
		"configuration: {callback: {keys: [abc]}}":                                           "configuration.callback.keys[0] has a secret",
		"configuration: {callback: {keys: ['$${abc}']}}":                                     "configuration.callback.keys[0] has a secret",
		"configuration: {access: [{name: a, keys: ['${A}', abc]}]}\nextraEnv: [{name: A}]":   "configuration.access[0].keys[1] has a secret",
		"configuration: {access: [{name: a, key: abc}]}":                                     "configuration.access[0].key has a secret",
		"configuration: {engine: {headers: {Authorization: Bearer abc}}}":                    "configuration.engine.headers.Authorization has a secret",
		"configuration: {engines: [{name: a, headers: {X-Api-Key: abc}}]}":                   "configuration.engines[0].headers.X-Api-Key has a secret",
		"configuration: {tracing: {token: abc}}":                                             "configuration.tracing.token has a secret",
		"configuration: {waiters: [{name: a, hashes: [abc]}]}":                               "configuration.waiters[0].hashes[0] has a secret",
		"configuration: {correlator: {redis: {url: 'redis://user:abc@redis:6379'}}}":         "configuration.correlator.redis.url has a password in a URL",
		"configuration: {correlator: {redis: {url: 'redis://redis:6379?x=1&password=abc'}}}": "configuration.correlator.redis.url has a password in a URL",
		"configuration: {engine: {proxy: 'http://u:p@proxy:1'}}":                             "configuration.engine.proxy has a password in a URL",
		"configuration: {access: [{name: a, key: '${WEB_KEY}'}]}":                            "names the variable WEB_KEY, which the pods do not have",
		"configuration: {callback: {keys_file: /secrets/other/keys}}":                        "names /secrets/other/keys, which the pods do not have",
		"configuration: {callback: {keys_file: /secrets/syncgate/other}}":                    "names /secrets/syncgate/other, which the pods do not have",
		"configuration: {routes: [{name: a, schema: /etc/syncgate/a.json}]}":                 "names /etc/syncgate/a.json, which the pods do not have",
		"files: {syncgate.yaml: x}":                                                          `files has the name "syncgate.yaml"`,
		"files: {a/b: x}":                                                                    `files has the name "a/b"`,
	})
}

// TestProblemsOfTheSchema wants an error that says what to do, for values that are unknown or of a wrong type.
func TestProblemsOfTheSchema(t *testing.T) {
	wantProblems(t, map[string]string{
		"replica: 3":    "additional properties 'replica' not allowed",
		"replicas: two": "replicas",
		"service: {public: {type: ExternalName}}":    "type",
		"image: {digest: 'md5:1'}":                   "digest",
		"secrets: {env: [{name: A, value: secret}]}": "secrets/env/0",
		"secrets: {files: [{name: A_B}]}":            "pattern",
		"topologySpread: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule, labelSelector: {}}]": "labelSelector",
		"ports: {public: 0}":                        "minimum",
		"configuration: {engine: none}":             "configuration/engine",
		"podDisruptionBudget: {maxUnavailable: 0%}": "podDisruptionBudget",
	})
}

// TestNoValues wants that the chart's defaults alone are refused with what is missing first.
func TestNoValues(t *testing.T) {
	if _, err := render(load(t), nil); err == nil || !strings.Contains(err.Error(), "configuration.callback.base_url is missing") {
		t.Errorf("the error is %v", err)
	}
}

// TestEverySecretIsRefused takes every key from the schema of the configuration that has a second one with _file, which a secret has, and wants
// that no value of it gets into a ConfigMap.
func TestEverySecretIsRefused(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(read(t, repository+"configs/schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	paths := secretPaths(schema, nil)
	if len(paths) < 15 {
		t.Fatalf("there are only %d secrets: %v", len(paths), paths)
	}
	for _, path := range paths {
		var value any = "abcdefgh"
		for _, key := range slices.Backward(path) {
			switch key {
			case "[]":
				value = []any{value}
			default:
				value = map[string]any{key: value}
			}
		}
		all := chartutil.MergeTables(map[string]any{"configuration": value}, values(t))
		at := strings.ReplaceAll(strings.Join(path, "."), ".[]", "[0]")
		if _, err := render(load(t), all); err == nil || !strings.Contains(err.Error(), "configuration."+at+" has a secret") {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// secretPaths gives the paths of the keys below a section that hold secrets; [] stands for an element of a list.
func secretPaths(section any, path []string) (paths [][]string) {
	if items := at(section, "items"); items != nil {
		return secretPaths(items, append(path, "[]"))
	}
	properties, _ := at(section, "properties").(map[string]any)
	for name, p := range properties {
		below := append(slices.Clone(path), name)
		paths = append(paths, secretPaths(p, below)...)
		if properties[name+"_file"] == nil || strings.HasSuffix(name, "cert") {
			continue
		}
		if list := at(p, "items"); list != nil || name == "keys" {
			below = append(below, "[]")
		}
		paths = append(paths, below)
	}
	return paths
}

// TestLinksThatAreNone wants a clear error where a checkout has texts in place of links, as on Windows.
func TestLinksThatAreNone(t *testing.T) {
	for values, want := range map[string]string{
		"prometheusRule: {enabled: true}": "files/alerts.yaml of the chart has no alerts",
		"dashboards: {enabled: true}":     "files/dashboards/login.json of the chart is no dashboard",
	} {
		c := load(t)
		for _, f := range c.Files {
			f.Data = []byte("../../../somewhere/else")
		}
		_, err := render(c, lay(t, read(t, leastFile), values))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v", values, err)
		}
	}
}
