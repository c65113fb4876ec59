{{- define "same" }}root a{{ end }}
{{- define "twice" }}first{{ end }}
