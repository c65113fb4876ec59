{{ define "known" }}known {{ .Chart.Name }}{{ end }}
{{ define "render" -}}
{{- $v := typeIs "string" .value | ternary .value (.value | toYaml) -}}
{{- tpl $v .context -}}
{{- end }}
{{ define "loop" }}{{ include "loop" . }}{{ end }}
{{ define "twice" }}{{ tpl (tpl . (dict "x" 1)) (dict "y" 2) }}{{ end }}
