{{- define "same" }}sub{{ end }}
{{- define "onlysub" }}{{ .Chart.Name }}{{ end }}
