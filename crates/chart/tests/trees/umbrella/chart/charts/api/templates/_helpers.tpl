{{- define "name" }}api-{{ .Release.Name }}{{ end }}
{{- define "api.labels" -}}
region: {{ .Values.global.region }}
{{- range $k, $v := .Values.global.labels }}
{{ $k }}: {{ $v | toJson | quote }}
{{- end }}
{{- end }}
