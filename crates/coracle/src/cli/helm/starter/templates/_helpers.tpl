{{/* The chart's name, or the one that the values give. */}}
{{- define "CHARTNAME.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
The name of what this chart makes: release and chart, once if the one holds the other.
Names in DNS end after 63 letters.
*/}}
{{- define "CHARTNAME.fullname" -}}
{{- $chart := .Values.nameOverride | default .Chart.Name }}
{{- $both := contains $chart .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $chart) }}
{{- .Values.fullnameOverride | default $both | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Chart and version; labels know no plus sign. */}}
{{- define "CHARTNAME.chart" -}}
{{- list .Chart.Name .Chart.Version | join "-" | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Labels by which Services and Deployments find their pods; they never change. */}}
{{- define "CHARTNAME.selectorLabels" -}}
app.kubernetes.io/name: {{ include "CHARTNAME.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of everything that this chart makes. */}}
{{- define "CHARTNAME.labels" -}}
helm.sh/chart: {{ include "CHARTNAME.chart" . }}
{{ include "CHARTNAME.selectorLabels" . }}
{{- with .Chart.AppVersion }}
app.kubernetes.io/version: {{ quote . }}
{{- end }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* The account that the pods use, made here or not. */}}
{{- define "CHARTNAME.serviceAccountName" -}}
{{- $own := .Values.serviceAccount.create | ternary (include "CHARTNAME.fullname" .) "default" }}
{{- .Values.serviceAccount.name | default $own }}
{{- end }}
