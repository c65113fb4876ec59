{{/* vim: set filetype=mustache: */}}
{{- define "stack.fullname" -}}
{{- if .Values.fullnameOverride -}}{{ .Values.fullnameOverride | trunc 26 | trimSuffix "-" }}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 26 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 26 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- define "stack.labels" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: "{{ replace "+" "_" .Chart.Version }}"
chart: {{ template "stack.chartref" . }}
{{- if .Values.commonLabels}}
{{ toYaml .Values.commonLabels }}
{{- end }}
{{- end }}
{{- define "stack.chartref" -}}
{{- replace "+" "_" .Chart.Version | printf "%s-%s" .Chart.Name -}}
{{- end }}
{{- define "stack.rules.filter" -}}
{{- $rules := list -}}
{{- range .rules -}}{{- if not (index $.disabled (.alert | default .record)) -}}{{- $rules = append $rules . -}}{{- end -}}{{- end -}}
{{- toYaml $rules -}}
{{- end }}
