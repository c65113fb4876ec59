{{- define "inc" -}}
{{- $_ := set .Values "count" (add1 .Values.count) -}}
{{- $_ := set .Values.global "n" (add1 .Values.global.n) -}}
{{- $_ := set .Values.map (.Template.Name | base) .Values.count -}}
{{- $_ := set .Values.global.t .Template.Name true -}}
{{- .Values.count }}/{{ .Values.global.n -}}
{{- end -}}
