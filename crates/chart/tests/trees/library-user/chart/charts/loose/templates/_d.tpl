{{- define "shared" }}from loose{{ end }}
{{- define "only.loose" }}{{ .Chart.Name }}{{ end }}
