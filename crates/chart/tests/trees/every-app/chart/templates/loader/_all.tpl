{{- define "every.loader.init" -}}
{{- range $id, $c := .Values.controllers -}}
{{- range $cid, $container := $c.containers -}}{{- $_ := set $container "identifier" $cid -}}{{- end -}}
{{- $_ := set $c "type" ($c.type | default "deployment" | lower) -}}
{{- end -}}
{{- end -}}
{{- define "every.order" -}}
{{- $graph := dict -}}
{{- range $n, $c := . -}}{{- $_ := set $graph $n (empty $c.dependsOn | ternary list (kindIs "string" $c.dependsOn | ternary (list $c.dependsOn) $c.dependsOn)) -}}{{- end -}}
{{- $order := list -}}
{{- range until (len $graph) -}}
{{- range $n, $d := $graph -}}
{{- if and (not (has $n $order)) (eq (len $d) (len (without $d "") )) -}}
{{- $ok := true -}}{{- range $d -}}{{- if not (has . $order) -}}{{- $ok = false -}}{{- end -}}{{- end -}}
{{- if $ok -}}{{- $order = append $order $n -}}{{- end -}}
{{- end -}}{{- end -}}{{- end -}}
{{- $order | toJson -}}
{{- end -}}
{{- define "every.controllers" -}}
{{- $root := . -}}
{{- range $id, $c := .Values.controllers }}
{{- if $c.enabled }}
{{- $spec := dict "containers" list -}}
{{- range $n := include "every.order" $c.containers | fromJsonArray -}}
{{- $_ := set $spec "containers" (append $spec.containers (include "every.container" (dict "root" $root "controller" $id "object" (get $c.containers $n)) | fromYaml)) -}}
{{- end }}
---
{{ if eq $c.type "cronjob" -}}
apiVersion: batch/v1
kind: CronJob
metadata: {name: {{ $root.Release.Name }}-{{ $id }}}
spec:
  suspend: {{ $c.cronjob.suspend }}
  schedule: {{ $c.cronjob.schedule | quote }}
  successfulJobsHistoryLimit: {{ default 3 $c.cronjob.successfulJobsHistory }}
  {{- with $c.cronjob.timeZone }}
  timeZone: {{ . }}
  {{- end }}
  jobTemplate: {{- dict "spec" (dict "template" (dict "spec" $spec)) | toYaml | nindent 4 }}
{{- else if eq $c.type "deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ $root.Release.Name }}-{{ $id }}}
spec:
  template:
    spec: {{- toYaml $spec | nindent 6 }}
{{- else -}}
{{ fail (printf "Not a valid controller.type (%s)" $c.type) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
{{- define "every.all" -}}
{{- include "every.loader.init" . -}}
{{- include "every.controllers" . | nindent 0 -}}
{{- range $id, $s := .Values.service }}
---
apiVersion: v1
kind: Service
metadata: {name: {{ $.Release.Name }}-{{ $id }}}
spec:
  ports:
  {{- range $n, $p := $s.ports }}
  {{- if ne (toString $p.enabled) "false" }}
  - {name: {{ $n }}, port: {{ $p.port }}, targetPort: {{ $p.targetPort | default $p.port }}}
  {{- end }}
  {{- end }}
{{- end }}
{{- range $id, $cm := .Values.configMaps }}
---
{{ dict "apiVersion" "v1" "kind" "ConfigMap" "metadata" (dict "name" (printf "%s-%s" $.Release.Name $id)) "data" (tpl (toYaml $cm.data) $ | fromYaml) | toYaml }}
{{- end }}
{{- range $n, $r := .Values.rawResources }}
---
{{ tpl (toYaml (merge (dict "metadata" (dict "name" $n)) $r)) $ }}
{{- end }}
{{- end -}}
