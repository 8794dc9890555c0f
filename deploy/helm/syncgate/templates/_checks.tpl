{{/*
What does not fit together fails here, before anything is changed in the cluster. The program checks its configuration itself when a pod starts;
here is what only the chart can know.
*/}}
{{- define "syncgate.checks" -}}
{{- include "syncgate.checkNodes" . -}}
{{- include "syncgate.checkListeners" . -}}
{{- include "syncgate.checkVariables" . -}}
{{- include "syncgate.checkAutoscaling" . -}}
{{- include "syncgate.checkReadiness" . -}}
{{- $_ := include "syncgate.grace" . -}}
{{- include "syncgate.checkSecrets" (dict "root" . "at" "" "value" .Values.configuration) -}}
{{- $names := list -}}
{{- range .Values.secrets.files -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- if ne (len $names) (len (uniq $names)) -}}
{{- fail (printf "\nsecrets.files has a name twice: %s. Name each Secret once, with all keys that you need." (join ", " $names)) -}}
{{- end -}}
{{- range $name, $text := .Values.files -}}
{{- if or (eq $name "syncgate.yaml") (not (regexMatch "^[-._a-zA-Z0-9]+$" $name)) -}}
{{- fail (printf "\nfiles has the name %q. It must be a file's name of letters, digits, -, _ and ., and not syncgate.yaml." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "syncgate.checkNodes" -}}
{{- $c := .Values.configuration -}}
{{- if not (dig "callback" "base_url" "" $c) -}}
{{- fail (printf "\nconfiguration.callback.base_url is missing: the URL at which the engine reaches the Service %s-callback. For an engine in this cluster it is http://%s-callback.%s.svc:%v, and for others the URL of an Ingress or a balancer in front of it." (include "syncgate.fullname" .) (include "syncgate.fullname" .) .Release.Namespace .Values.service.callback.port) -}}
{{- end -}}
{{- if not .Values.image.repository -}}
{{- fail "\nimage.repository is missing: where the cluster finds the image that you have built from the Dockerfile, such as registry.example.com/syncgate." -}}
{{- end -}}
{{- $backend := dig "correlator" "backend" "memory" $c -}}
{{- $redis := eq $backend "redis" -}}
{{- $pods := ternary .Values.autoscaling.max .Values.replicas .Values.autoscaling.enabled | int -}}
{{- if and (gt $pods 1) (not $redis) -}}
{{- fail (printf "\nThere may be %d pods, and configuration.correlator.backend is %s: a callback that reaches another pod than its client's would be lost. Set it to redis, or set replicas to 1 and autoscaling.enabled to false." $pods $backend) -}}
{{- end -}}
{{- if not (or $redis (eq .Values.strategy.type "Recreate")) -}}
{{- fail (printf "\nconfiguration.correlator.backend is %s, and an upgrade would have two pods for a while: a callback that reaches the other one would be lost. Set strategy to {type: Recreate, rollingUpdate: null}, or the backend to redis." $backend) -}}
{{- end -}}
{{- if and $redis (not (get (dig "correlator" "redis" dict $c | default dict) "url")) -}}
{{- fail "\nconfiguration.correlator.redis.url is missing: redis://HOST:6379/0. The default is the loopback, where a pod has no Redis." -}}
{{- end -}}
{{- if and $redis (not (dig "callback" "keys_file" "" $c)) (not (dig "callback" "keys" "" $c)) (not (include "syncgate.hasVariable" (list . "SYNCGATE_CALLBACK_KEYS"))) -}}
{{- fail "\nconfiguration.callback.keys_file is missing: with Redis all pods need the same keys. Name a file of secrets.files: /secrets/NAME/KEY." -}}
{{- end -}}
{{- end -}}

{{- define "syncgate.checkListeners" -}}
{{- range $key := list "public" "callback" "admin" -}}
{{- if hasKey (dig "listen" dict $.Values.configuration) $key -}}
{{- fail (printf "\nconfiguration.listen.%s is set. Set ports.%s: the chart needs to know the port for its Services, its NetworkPolicy and the probes." $key $key) -}}
{{- end -}}
{{- end -}}
{{- $ports := list (int .Values.ports.public) (int .Values.ports.callback) (int .Values.ports.admin) -}}
{{- if ne (len (uniq $ports)) 3 -}}
{{- fail "\nports.public, ports.callback and ports.admin must differ." -}}
{{- end -}}
{{- if and (not (include "syncgate.adminIsOpen" .)) (has "public" (dig "listen" "proxy_protocol" list .Values.configuration)) -}}
{{- fail "\nconfiguration.listen.proxy_protocol has public, which no probe speaks, and without networkPolicy the probes have no other port. Turn networkPolicy.enabled on, or set admin.withoutNetworkPolicy." -}}
{{- end -}}
{{- if .Values.serviceMonitor.enabled -}}
{{- if not (include "syncgate.adminIsOpen" .) -}}
{{- fail "\nserviceMonitor.enabled needs the admin listener, which is on the loopback of the pods. Turn networkPolicy.enabled on, or set admin.withoutNetworkPolicy if something else keeps others away from it." -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.admin.from) -}}
{{- fail "\nserviceMonitor.enabled needs networkPolicy.admin.from: where Prometheus is, as in [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]." -}}
{{- end -}}
{{- end -}}
{{- range $name, $ingress := .Values.ingress -}}
{{- if and $ingress.enabled (not $ingress.hosts) -}}
{{- fail (printf "\ningress.%s.hosts is empty: name the host." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* "true" if the container has a variable, or may have it. Takes a list: the root, the name. */}}
{{- define "syncgate.hasVariable" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.extraEnvFrom -}}true{{- end -}}
{{- range concat $root.Values.secrets.env $root.Values.extraEnv -}}
{{- if eq .name (index $ 1) -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{- define "syncgate.checkVariables" -}}
{{- range concat .Values.secrets.env .Values.extraEnv -}}
{{- if regexMatch "^SYNCGATE_(CONFIG$|LISTEN_|DRAIN_|ENGINE_URL$|ENGINE_PROXY$|TRACING_URL$|CORRELATOR_(BACKEND|REDIS_URL|REDIS_MODE)$|TIMEOUTS_MAX$|LIMITS_(PARKED|BODY|CALLBACK_BODY)$)" .name -}}
{{- fail (printf "\nThe variable %s would override what the chart computes with. Set the key in configuration." .name) -}}
{{- end -}}
{{- if regexMatch "://[^/?#$]*:[^/?#$]+@" (get . "value" | toString) -}}
{{- fail (printf "\nextraEnv has the value of %s, a URL with a password, and the Deployment has the values of extraEnv for many people to read. Put it into a Secret, and name it in secrets.env." .name) -}}
{{- end -}}
{{- if and (get . "value") (regexMatch "^SYNCGATE_.*(SECRETS?|PASSWORD|TOKEN|HASHES|_KEYS)$" .name) -}}
{{- fail (printf "\nextraEnv has the value of %s, which is a secret, and the Deployment has the values of extraEnv for many people to read. Put it into a Secret, and name it in secrets.env." .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "syncgate.checkAutoscaling" -}}
{{- $a := .Values.autoscaling -}}
{{- if $a.enabled -}}
{{- if not (or $a.parkedClients $a.cpu) -}}
{{- fail "\nautoscaling has neither parkedClients nor cpu: set one of them." -}}
{{- end -}}
{{- if gt (int $a.min) (int $a.max) -}}
{{- fail (printf "\nautoscaling.min is %d, and autoscaling.max is %d." (int $a.min) (int $a.max)) -}}
{{- end -}}
{{- if and $a.cpu (not (dig "requests" "cpu" "" .Values.resources)) (not (dig "limits" "cpu" "" .Values.resources)) -}}
{{- fail "\nautoscaling.cpu is a part of resources.requests.cpu, which is missing. Set that, or autoscaling.cpu to 0." -}}
{{- end -}}
{{- $parked := dig "limits" "parked" 100000 .Values.configuration -}}
{{- if not (regexMatch "^[0-9.e+]+$" (toString $parked)) -}}
{{- fail (printf "\nconfiguration.limits.parked is %q. It must be a number: the chart compares it with autoscaling.parkedClients, so it cannot be a variable." (toString $parked)) -}}
{{- end -}}
{{- if and $parked (ge (int $a.parkedClients) (int $parked)) -}}
{{- fail (printf "\nautoscaling.parkedClients is %d, and configuration.limits.parked is %d: pods would refuse clients before there are more of them. Set it to two thirds of limits.parked." (int $a.parkedClients) (int $parked)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "syncgate.checkReadiness" -}}
{{- $delay := include "syncgate.seconds" (list "configuration.drain.delay" (dig "drain" "delay" "5s" .Values.configuration)) | int -}}
{{- $notices := mul .Values.probes.readiness.periodSeconds .Values.probes.readiness.failureThreshold | int -}}
{{- if le $delay $notices -}}
{{- fail (printf "\nconfiguration.drain.delay is %d s, and the readiness probe takes up to %d s to see that a pod ends: clients would be refused. Raise drain.delay, or lower probes.readiness.periodSeconds." $delay $notices) -}}
{{- end -}}
{{- end -}}

{{/* Fails if a secret stands in the Deployment. Takes a list: the root, the key that needs the secret, the name of its variable. */}}
{{- define "syncgate.checkReference" -}}
{{- $at := index . 1 -}}
{{- $name := index . 2 -}}
{{- range (index . 0).Values.extraEnv -}}
{{- if and (eq .name $name) (get . "value") -}}
{{- fail (printf "\nextraEnv has the value of %s, which is a secret by configuration.%s, and the Deployment has the values of extraEnv for many people to read. Put it into a Secret, and name it in secrets.env." $name $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
No secret stands in the configuration, and every variable and file that it names is there. Takes a dict: root, at (the key's path), value.
*/}}
{{- define "syncgate.checkSecrets" -}}
{{- $root := .root -}}
{{- $at := .at -}}
{{- if kindIs "map" .value -}}
{{- range $name, $value := .value -}}
{{- include "syncgate.checkSecrets" (dict "root" $root "at" (printf "%s.%s" $at $name | trimPrefix ".") "value" $value) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $i, $value := .value -}}
{{- include "syncgate.checkSecrets" (dict "root" $root "at" (printf "%s[%d]" $at $i) "value" $value) -}}
{{- end -}}
{{- else if .value -}}
{{- $text := toString .value | replace "$${" "" -}}
{{- if and (include "syncgate.isSecret" $at) (not (contains "${" $text)) -}}
{{- fail (printf "\nconfiguration.%s has a secret, and the configuration is stored in a ConfigMap, which many people can read. Put the secret into a Secret, and name a file of secrets.files in the key with _file at its end, or a variable of secrets.env as ${NAME}." $at) -}}
{{- end -}}
{{- if regexMatch "://[^/?#$]*:[^/?#$]+@|[?&]password=[^&$]" $text -}}
{{- fail (printf "\nconfiguration.%s has a password in a URL, and the configuration is stored in a ConfigMap, which many people can read. Write ${NAME} for the password, and name the variable in secrets.env." $at) -}}
{{- end -}}
{{- range regexFindAll "\\$\\{[^}]*\\}" $text -1 -}}
{{- $name := trimAll "${}" . -}}
{{- if not (include "syncgate.hasVariable" (list $root $name)) -}}
{{- fail (printf "\nconfiguration.%s names the variable %s, which the pods do not have. Add it to secrets.env or extraEnv." $at $name) -}}
{{- end -}}
{{- if or (include "syncgate.isSecret" $at) (regexMatch (printf "://[^/?#]*:[^/?#@]*\\$\\{%s\\}[^/?#]*@|[?&]password=[^&]*\\$\\{%s\\}" $name $name) $text) -}}
{{- include "syncgate.checkReference" (list $root $at $name) -}}
{{- end -}}
{{- end -}}
{{- include "syncgate.checkFile" (dict "root" $root "at" $at "path" $text) -}}
{{- end -}}
{{- end -}}

{{/* Says "true" of a key whose value is a secret. */}}
{{- define "syncgate.isSecret" -}}
{{- $name := regexReplaceAll "\\[[0-9]+\\]$" . "" | splitList "." | last -}}
{{- if regexMatch "(secret|secrets|password|token|hashes)$" $name -}}true
{{- else if regexMatch "(^callback|^access\\[[0-9]+\\])\\.keys\\[[0-9]+\\]$|^access\\[[0-9]+\\]\\.key$" . -}}true
{{- else if regexMatch "(?i)headers\\..*(auth|token|secret|key|cookie|password)" . -}}true
{{- end -}}
{{- end -}}

{{/* A file below /etc/syncgate or /secrets is one that the chart mounts. Takes a dict: root, at, path. */}}
{{- define "syncgate.checkFile" -}}
{{- $root := .root -}}
{{- $path := .path -}}
{{- if and (regexMatch "^/(etc/syncgate|secrets)/" $path) (not $root.Values.extraVolumeMounts) -}}
{{- $found := hasKey $root.Values.files (trimPrefix "/etc/syncgate/" $path) -}}
{{- range $root.Values.secrets.files -}}
{{- $file := trimPrefix (printf "/secrets/%s/" .name) $path -}}
{{- if and (ne $file $path) (or (not .keys) (has $file .keys)) -}}
{{- $found = true -}}
{{- end -}}
{{- end -}}
{{- if not $found -}}
{{- fail (printf "\nconfiguration.%s names %s, which the pods do not have. Add its Secret to secrets.files, or the file to files." .at $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
