{{- define "store.image" -}}
{{- include "common.images.image" (dict "imageRoot" .Values.image "global" .Values.global) -}}
{{- end -}}

{{- define "store.secretName" -}}
{{- if .Values.auth.existingSecret -}}
{{- printf "%s" (tpl .Values.auth.existingSecret $) -}}
{{- else -}}
{{- printf "%s" (include "common.names.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "store.validateValues.architecture" -}}
{{- if not (or (eq .Values.architecture "replication") (eq .Values.architecture "standalone")) -}}
store: architecture
    Possible values are "standalone" and "replication".
{{- end -}}
{{- end -}}

{{- define "store.validateValues" -}}
{{- $messages := list -}}
{{- $messages := append $messages (include "store.validateValues.architecture" .) -}}
{{- $messages := without $messages "" -}}
{{- $message := join "\n" $messages -}}
{{- if $message -}}
{{-   printf "\nVALUES VALIDATION:\n%s" $message | fail -}}
{{- end -}}
{{- end -}}

{{- define "compatibility" -}}
{{- $adapted := .secContext -}}
{{- if (((.context.Values.global).compatibility).openshift) -}}
  {{- if eq .context.Values.global.compatibility.openshift.adaptSecurityContext "force" -}}
    {{- $adapted = omit $adapted "fsGroup" "runAsUser" "runAsGroup" -}}
  {{- end -}}
  {{- if not .secContext.seLinuxOptions -}}
    {{- $adapted = omit $adapted "seLinuxOptions" -}}
  {{- end -}}
{{- end -}}
{{- omit $adapted "enabled" | toYaml -}}
{{- end -}}
