{{- define "delivery.name" -}}{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}{{- end }}
{{- define "delivery.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- define "delivery.server.fullname" -}}
{{- printf "%s-%s" (include "delivery.fullname" .) .Values.server.name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- define "delivery.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version }}
{{ include "delivery.selectorLabels" (dict "context" .context "component" .component "name" .name) }}
app.kubernetes.io/version: {{ include "delivery.versionLabelValue" .context }}
{{- with .context.Values.global.additionalLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- define "delivery.versionLabelValue" -}}
{{ regexReplaceAll "[^a-zA-Z0-9-_.]+" (default .Chart.AppVersion .Values.global.image.tag) "" | trunc 63 | quote }}
{{- end -}}
{{- define "delivery.selectorLabels" -}}
{{- if .name -}}
app.kubernetes.io/name: {{ include "delivery.name" .context }}-{{ .name }}
{{ end -}}
app.kubernetes.io/instance: {{ .context.Release.Name }}
{{- if .component }}
app.kubernetes.io/component: {{ .component }}
{{- end }}
{{- end }}
{{- define "delivery.config.presets" -}}
{{- $presets := dict -}}
{{- $_ := set $presets "url" (printf "https://%s" .Values.global.domain) -}}
{{- if eq (toString (index .Values.configs.cm "exec.enabled")) "true" -}}
{{- $_ := set $presets "exec.shells" "bash,sh" -}}
{{- end -}}
{{- toYaml $presets }}
{{- end -}}
{{- define "delivery.config.cm" -}}
{{- $config := (mergeOverwrite (deepCopy (omit .Values.configs.cm "create" "annotations")) (.Values.server.config | default dict))  -}}
{{- $preset := include "delivery.config.presets" . | fromYaml | default dict -}}
{{- range $key, $value := mergeOverwrite $preset $config }}
{{- $fmted := $value | toString }}
{{- if not (eq $fmted "") }}
{{ $key }}: {{ $fmted | toYaml }}
{{- end }}
{{- end }}
{{- end -}}
{{- define "delivery.affinity" -}}
{{- with .component.affinity -}}
  {{- toYaml . -}}
{{- else -}}
{{- $presets := .context.Values.global.affinity -}}
{{- if (eq $presets.podAntiAffinity "soft") }}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
  - weight: 100
    podAffinityTerm:
      labelSelector:
        matchLabels:
          app.kubernetes.io/name: {{ include "delivery.name" .context }}-{{ .component.name }}
      topologyKey: kubernetes.io/hostname
{{- else if (eq $presets.podAntiAffinity "hard") }}
podAntiAffinity: hard
{{- end }}
{{- with $presets.nodeAffinity.matchExpressions }}
{{- if (eq $presets.nodeAffinity.type "soft") }}
nodeAffinity:
  preferred:
  - weight: 1
    preference:
      matchExpressions:
      {{- toYaml . | nindent 6 }}
{{- else if (eq $presets.nodeAffinity.type "hard") }}
nodeAffinity:
  required:
    nodeSelectorTerms:
    - matchExpressions:
      {{- toYaml . | nindent 6 }}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}
