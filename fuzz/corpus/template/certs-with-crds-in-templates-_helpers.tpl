{{- define "certs.fullname" -}}
{{- if .Values.fullnameOverride -}}
    {{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
    {{- $name := default .Chart.Name .Values.nameOverride -}}
    {{- if contains $name .Release.Name -}}{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
    {{- else -}}{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- define "webhook.caRef" -}}
{{- template "certs.namespace" }}/{{ template "certs.fullname" . }}-webhook-ca
{{- end -}}
{{- define "certs.namespace" -}}
    {{ .Values.namespace | default .Release.Namespace }}
{{- end -}}
{{- define "certs.crd-check" -}}
  {{- if and (.Values.crds).enabled .Values.installCRDs }}
    {{- fail "ERROR: both" }}
  {{- end }}
{{- end -}}
{{- define "image" -}}
{{- $defaultTag := index . 1 -}}
{{- with index . 0 -}}
{{- if .registry -}}{{ printf "%s/%s" .registry .repository }}{{- else -}}{{- .repository -}}{{- end -}}
{{- if .digest -}}{{ printf "@%s" .digest }}{{- else -}}{{ printf ":%s" (default $defaultTag .tag) }}{{- end -}}
{{- end }}
{{- end }}
