{{- define "same" }}root deep{{ end }}
{{- define "empty" }}not empty{{ end }}
