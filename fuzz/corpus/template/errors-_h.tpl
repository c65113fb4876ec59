{{- define "deep" }}
{{- include "deeper" . }}
{{- end }}
{{- define "deeper" -}}
first line
  {{ required (printf "value %s is needed" .what) .value }}
{{- end }}
{{- define "fails" }}{{ fail . }}{{ end }}
