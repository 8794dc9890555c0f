{{- define "syncgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of everything. 50 characters at most, as some names have a word behind it. */}}
{{- define "syncgate.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- $name = .Release.Name -}}
{{- else -}}
{{- $name = printf "%s-%s" .Release.Name $name -}}
{{- end -}}
{{- $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "syncgate.selector" -}}
app.kubernetes.io/name: {{ include "syncgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "syncgate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "syncgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "syncgate.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "syncgate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "syncgate.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* "true" if the admin listener is reached from outside of the pod. */}}
{{- define "syncgate.adminIsOpen" -}}
{{- if or .Values.networkPolicy.enabled .Values.admin.withoutNetworkPolicy -}}true{{- end -}}
{{- end -}}

{{/* The configuration as the pods have it. */}}
{{- define "syncgate.configuration" -}}
{{- $ports := .Values.ports -}}
{{- $admin := printf "127.0.0.1:%v" $ports.admin -}}
{{- if include "syncgate.adminIsOpen" . -}}
{{- $admin = printf ":%v" $ports.admin -}}
{{- end -}}
{{- $listen := dict "public" (printf ":%v" $ports.public) "callback" (printf ":%v" $ports.callback) "admin" $admin -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.configuration) (dict "listen" $listen)) -}}
{{- end -}}

{{/* The seconds of a duration, rounded up. Takes a list: the key, and its value. */}}
{{- define "syncgate.seconds" -}}
{{- $key := index . 0 -}}
{{- $value := index . 1 | toString -}}
{{- if not (regexMatch "^([0-9]+(\\.[0-9]+)?(h|m|s|ms|us|ns))+$" $value) -}}
{{- fail (printf "\n%s is %q. It must be a duration such as 30s or 1m30s: the chart computes with it, so it cannot be a variable." $key $value) -}}
{{- end -}}
{{- $start := toDate "2006-01-02" "2001-01-01" -}}
{{- $end := $start | mustDateModify $value | mustDateModify "999ms" -}}
{{- sub (unixEpoch $end) (unixEpoch $start) -}}
{{- end -}}

{{/* The seconds that a drain takes at most. */}}
{{- define "syncgate.drain" -}}
{{- $delay := include "syncgate.seconds" (list "configuration.drain.delay" (dig "drain" "delay" "5s" .Values.configuration)) -}}
{{- $timeout := include "syncgate.seconds" (list "configuration.drain.timeout" (dig "drain" "timeout" "60s" .Values.configuration)) -}}
{{- add $delay $timeout -}}
{{- end -}}

{{/* The seconds that a pod has to end. */}}
{{- define "syncgate.grace" -}}
{{- $drain := include "syncgate.drain" . | int -}}
{{- $grace := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $grace -}}
{{- add $drain 10 -}}
{{- else if lt (int $grace) (add $drain 6 | int) -}}
{{- fail (printf "\nterminationGracePeriodSeconds is %d, and a pod may take %d s to end: drain.delay and drain.timeout of the configuration are %d s together, and 6 s more are for notifications and the log. Kubernetes would kill it while clients wait. Raise it, leave it empty, or lower drain.timeout." (int $grace) (add $drain 6) $drain) -}}
{{- else -}}
{{- int $grace -}}
{{- end -}}
{{- end -}}

{{/* The longest that a client waits, in seconds. */}}
{{- define "syncgate.longestWait" -}}
{{- $longest := include "syncgate.seconds" (list "configuration.timeouts.max" (dig "timeouts" "max" "300s" .Values.configuration)) | int -}}
{{- range $i, $route := .Values.configuration.routes -}}
{{- $wait := include "syncgate.seconds" (list (printf "configuration.routes[%d].wait.max" $i) (dig "wait" "max" "0s" $route)) | int -}}
{{- $longest = max $longest $wait -}}
{{- end -}}
{{- $longest -}}
{{- end -}}

{{/* The bytes of a size. Takes a list: the key, and its value. */}}
{{- define "syncgate.bytes" -}}
{{- $key := index . 0 -}}
{{- $value := index . 1 -}}
{{- if kindIs "float64" $value -}}
{{- $value = int64 $value -}}
{{- end -}}
{{- $value = toString $value -}}
{{- if not (regexMatch "^[0-9]+(KiB|MiB|GiB)?$" $value) -}}
{{- fail (printf "\n%s is %q. It must be a size such as 512KiB or 5MiB: the chart computes with it, so it cannot be a variable." $key $value) -}}
{{- end -}}
{{- $unit := get (dict "KiB" 1024 "MiB" 1048576 "GiB" 1073741824) (regexFind "[A-Z].*" $value) | default 1 -}}
{{- mul (regexFind "^[0-9]+" $value) $unit -}}
{{- end -}}

{{/* The largest body, in MiB, rounded up to more. */}}
{{- define "syncgate.largestBody" -}}
{{- $sizes := dict "configuration.limits.body" (dig "limits" "body" "1MiB" .Values.configuration) "configuration.limits.callback_body" (dig "limits" "callback_body" "5MiB" .Values.configuration) -}}
{{- range $i, $route := .Values.configuration.routes -}}
{{- $_ := set $sizes (printf "configuration.routes[%d].limits.body" $i) (dig "limits" "body" 0 $route) -}}
{{- end -}}
{{- $largest := 0 -}}
{{- range $key, $value := $sizes -}}
{{- $largest = max $largest (include "syncgate.bytes" (list $key $value) | int64) -}}
{{- end -}}
{{- add (div $largest 1048576) 1 -}}
{{- end -}}

{{/* Annotations of an Ingress that ingress-nginx understands, and those of the user. Takes a dict: root, ingress. */}}
{{- define "syncgate.ingressAnnotations" -}}
{{- $annotations := dict -}}
{{- if eq .ingress.controller "nginx" -}}
{{- $wait := add (include "syncgate.longestWait" .root) 30 | toString -}}
{{- $prefix := "nginx.ingress.kubernetes.io/" -}}
{{- $_ := set $annotations (printf "%sproxy-read-timeout" $prefix) $wait -}}
{{- $_ := set $annotations (printf "%sproxy-send-timeout" $prefix) $wait -}}
{{- $_ := set $annotations (printf "%sproxy-connect-timeout" $prefix) "2" -}}
{{- $_ := set $annotations (printf "%sproxy-next-upstream" $prefix) "error timeout" -}}
{{- $_ := set $annotations (printf "%sproxy-body-size" $prefix) (printf "%sm" (include "syncgate.largestBody" .root)) -}}
{{- if dig "listen" "tls" "cert_file" "" .root.Values.configuration -}}
{{- $_ := set $annotations (printf "%sbackend-protocol" $prefix) "HTTPS" -}}
{{- end -}}
{{- end -}}
{{- toYaml (mergeOverwrite $annotations .ingress.annotations) -}}
{{- end -}}

{{/* The port of a URL. Takes a list: the section of networkPolicy.egress to name in an error, where the URL stands, the URL. */}}
{{- define "syncgate.portOf" -}}
{{- $url := index . 2 | toString -}}
{{- $ports := dict "http" "80" "https" "443" "redis" "6379" "rediss" "6379" -}}
{{- $scheme := regexFind "^[a-z]+" $url -}}
{{- $rest := regexReplaceAll "^[a-z]+://([^/?#]*@)?" $url "" -}}
{{- $address := regexFind "^[^/?#]*" $rest -}}
{{- $port := regexFind ":[0-9]+$" $address | trimPrefix ":" | default (get $ports $scheme) -}}
{{- if or (not $port) (regexMatch ":\\$\\{[^}]*\\}$" $address) -}}
{{- fail (printf "\nThe chart cannot see which port %s leads to, as it is %q. Set networkPolicy.egress.%s.ports." (index . 1) $url (index . 0)) -}}
{{- end -}}
{{- $port -}}
{{- end -}}

{{/* The ports of the engines and of their proxies, those of the variables too, separated by blanks. */}}
{{- define "syncgate.enginePorts" -}}
{{- if .Values.networkPolicy.egress.engines.ports -}}
{{- join " " .Values.networkPolicy.egress.engines.ports -}}
{{- else -}}
{{- $urls := dict "configuration.engine.url" (dig "engine" "url" "https://api.corezoid.com" .Values.configuration) "configuration.engine.proxy" (dig "engine" "proxy" "" .Values.configuration) -}}
{{- range $i, $engine := .Values.configuration.engines -}}
{{- $_ := set $urls (printf "configuration.engines[%d].url" $i) (get $engine "url") -}}
{{- $_ := set $urls (printf "configuration.engines[%d].proxy" $i) (get $engine "proxy") -}}
{{- $_ := set $urls (printf "configuration.engines[%d].cancel.url" $i) (dig "cancel" "url" "" $engine) -}}
{{- end -}}
{{- range concat .Values.secrets.env .Values.extraEnv -}}
{{- if regexMatch "(?i)^https?_proxy$" .name -}}
{{- $_ := set $urls (printf "the variable %s" .name) (get . "value" | default "a reference") -}}
{{- end -}}
{{- end -}}
{{- $ports := list -}}
{{- range $key, $url := $urls -}}
{{- if and $url (ne $url "none") -}}
{{- $ports = append $ports (include "syncgate.portOf" (list "engines" $key $url)) -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | sortAlpha | join " " -}}
{{- end -}}
{{- end -}}

{{/* The port of the collector of traces; nothing where there is none. */}}
{{- define "syncgate.tracingPorts" -}}
{{- with dig "tracing" "url" "" .Values.configuration -}}
{{- if $.Values.networkPolicy.egress.tracing.ports -}}
{{- join " " $.Values.networkPolicy.egress.tracing.ports -}}
{{- else -}}
{{- include "syncgate.portOf" (list "tracing" "configuration.tracing.url" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The ports of Redis, separated by blanks; nothing where it is not used. */}}
{{- define "syncgate.redisPorts" -}}
{{- $redis := dig "correlator" "redis" dict .Values.configuration -}}
{{- if eq (dig "correlator" "backend" "memory" .Values.configuration) "redis" -}}
{{- if .Values.networkPolicy.egress.redis.ports -}}
{{- join " " .Values.networkPolicy.egress.redis.ports -}}
{{- else if ne (dig "mode" "standalone" $redis) "standalone" -}}
{{- fail (printf "\nconfiguration.correlator.redis.mode is %s, and the chart cannot see the ports of all its servers. Set networkPolicy.egress.redis.ports." $redis.mode) -}}
{{- else -}}
{{- include "syncgate.portOf" (list "redis" "configuration.correlator.redis.url" (dig "url" "redis://127.0.0.1:6379/0" $redis)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A rule of a NetworkPolicy. Takes a dict: peers, as "from" or "to", ports (a list that is not empty), protocols (a list). */}}
{{- define "syncgate.rule" -}}
{{- if not (compact .ports) -}}
{{- fail "\nA rule of a NetworkPolicy has no port, which would open all of them. Set the ports of networkPolicy.egress." -}}
{{- end -}}
- ports:
    {{- range $port := .ports }}
    {{- range $.protocols }}
    - {protocol: {{ . }}, port: {{ $port }}}
    {{- end }}
    {{- end }}
  {{- with .from }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Four fifths of a limit of memory, for GOMEMLIMIT; nothing where it is not known. */}}
{{- define "syncgate.goMemLimit" -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString -}}
{{- if .Values.goMemLimit -}}
{{- .Values.goMemLimit -}}
{{- else if regexMatch "^[0-9]+(Mi|Gi)$" $limit -}}
{{- $mebibytes := mul (regexFind "^[0-9]+" $limit) (ternary 1024 1 (hasSuffix "Gi" $limit)) -}}
{{- div (mul $mebibytes 4) 5 }}MiB
{{- end -}}
{{- end -}}

{{/* What a probe asks. Takes a dict: root, path. */}}
{{- define "syncgate.probe" -}}
path: {{ .path }}
{{- if include "syncgate.adminIsOpen" .root }}
port: admin
{{- else }}
port: public
{{- if dig "listen" "tls" "cert_file" "" .root.Values.configuration }}
scheme: HTTPS
{{- end }}
{{- end }}
{{- end -}}
