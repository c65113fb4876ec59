{{- define "every.container" -}}
{{- $root := .root -}}
{{- $o := .object -}}
name: {{ $o.identifier }}
image: {{ printf "%s:%s" $o.image.repository (toString ($o.image.tag | default $root.Chart.AppVersion)) | quote }}
{{- with include "every.env" (dict "root" $root "object" $o) | fromYamlArray }}
env: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if not (empty (dig "envFrom" nil $o)) }}
envFrom:
  {{- range $item := $o.envFrom }}
  - {{ tpl (toYaml $item) $root | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- range $name, $probe := $o.probes }}
{{- if $probe.enabled }}
{{ $name }}Probe: {{- toYaml ($probe.spec | default dict) | nindent 2 }}
{{- end }}
{{- end }}
{{- with (include "every.mounts" .) }}
volumeMounts: {{- . | nindent 2 }}
{{- end }}
{{- end -}}
{{- define "every.env" -}}
{{- $result := list -}}
{{- range $name := keys (.object.env | default dict) | uniq | sortAlpha -}}
  {{- $value := get $.object.env $name -}}
  {{- $new := dict "name" $name -}}
  {{- if kindIs "map" $value -}}
    {{- if hasKey $value "value" -}}{{- $_ := set $new "value" (tpl (toString $value.value) $.root) -}}
    {{- else if hasKey $value "valueFrom" -}}{{- $_ := set $new "valueFrom" $value.valueFrom -}}
    {{- else -}}{{- $_ := set $new "valueFrom" $value -}}{{- end -}}
  {{- else if kindIs "string" $value -}}{{- $_ := set $new "value" (tpl $value $.root) -}}
  {{- else if or (kindIs "float64" $value) (kindIs "bool" $value) -}}{{- $_ := set $new "value" ($value | toString) -}}
  {{- end -}}
  {{- $result = append $result $new -}}
{{- end -}}
{{- if not (empty $result) -}}{{- $result | toYaml -}}{{- end -}}
{{- end -}}
{{- define "every.mounts" -}}
{{- $c := .controller -}}{{- $o := .object -}}
{{- range $id, $p := .root.Values.persistence -}}
{{- if ne (toString (dig "enabled" true $p)) "false" }}
{{- range $m := $p.globalMounts }}
- {mountPath: {{ $m.path }}, name: {{ $id }}}
{{- end -}}
{{- range $m := dig $c $o.identifier list ($p.advancedMounts | default dict) }}
- {{ merge (dict "name" $id "mountPath" $m.path) (omit $m "path") | toJson }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
