{{- define "lib.merge" -}}
{{- $out := dict -}}
{{- range . -}}{{- $out = mergeOverwrite $out (deepCopy (. | default dict)) -}}{{- end -}}
{{- $out | toJson -}}
{{- end -}}
{{- define "lib.env" -}}
{{- range $k, $v := . }}
- name: {{ $k }}
  value: {{ $v | toString | quote }}
{{- end -}}
{{- end -}}
{{- define "lib.container" -}}
{{- $c := .component -}}
name: {{ .name }}
image: {{ $c.image | default (printf "%s/%s:%s" (.root.Values.registry | default "r.example") .name .root.Chart.AppVersion) | quote }}
{{- with $c.env }}
env: {{- include "lib.env" . | indent 2 }}
{{- else }}
env: []
{{- end }}
{{- with $c.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $kind, $probe := $c.probes }}
{{- with $probe }}
{{ $kind }}Probe: {httpGet: {{ . | toJson }}}
{{- end }}
{{- end }}
{{- end -}}
{{- define "lib.pod" -}}
containers:
- {{ include "lib.container" . | nindent 2 | trim }}
{{- $root := .root -}}
{{- range $i, $side := .component.sidecars }}
- {{ include "lib.container" (dict "name" (printf "%s-%d" $side.name $i) "component" (merge (omit $side "name") (dict "resources" (dict "limits" (dict "cpu" (add $i 1))))) "root" $root) | nindent 2 | trim }}
{{- end }}
{{- end -}}
{{- define "lib.workload" -}}
{{- $kind := .component.kind | default "Deployment" -}}
{{- $pod := include "lib.pod" . -}}
{{- $spec := dict -}}
{{- if eq $kind "CronJob" -}}
{{- $_ := set $spec "schedule" .component.schedule -}}
{{- $_ := set $spec "jobTemplate" (dict "spec" (dict "template" (dict "spec" ($pod | fromYaml)))) -}}
{{- else -}}
{{- $_ := set $spec "replicas" (.component.replicas | default 1 | int) -}}
{{- $_ := set $spec "template" (dict "spec" (fromYaml $pod)) -}}
{{- end -}}
{{- dict "apiVersion" (eq $kind "CronJob" | ternary "batch/v1" "apps/v1") "kind" $kind "metadata" (dict "name" .name "labels" (dict "n" (.component.replicas | typeOf))) "spec" $spec | toYaml -}}
{{- end -}}
{{- define "lib.walk" -}}
{{- if kindIs "slice" . -}}[{{ range $i, $e := . }}{{ if $i }};{{ end }}{{ include "lib.walk" $e }}{{ end }}]
{{- else if kindIs "map" . -}}<{{ range $k, $v := . }}{{ $k }}={{ include "lib.walk" $v }},{{ end }}>
{{- else -}}{{ kindOf . }}:{{ . }}{{- end -}}
{{- end -}}
{{- define "lib.fib" -}}{{- if lt (int .) 2 -}}{{ . }}{{- else -}}{{ add (include "lib.fib" (sub . 1)) (include "lib.fib" (sub . 2)) }}{{- end -}}{{- end -}}
