{{- define "same" }}root b{{ end }}
{{- define "empty" }}{{ end }}
