{{- define "common.secrets.passwords.manage" -}}
{{- $password := "" }}
{{- $chartName := default "" .chartName }}
{{- $passwordLength := default 10 .length }}
{{- $providedPasswordKey := "" -}}
{{- range .providedValues -}}
  {{- $value := $.context.Values -}}
  {{- range (splitList "." .) -}}
    {{- if kindIs "map" $value -}}{{- $value = index $value . -}}{{- else -}}{{- $value = "" -}}{{- end -}}
  {{- end -}}
  {{- if and $value (eq $password "") }}{{ $password = $value | toString }}{{ end -}}
{{- end -}}
{{- $secretData := (lookup "v1" "Secret" (include "common.names.namespace" .context) .secret).data }}
{{- if $secretData }}
  {{- $password = index $secretData .key | b64dec }}
{{- end -}}
{{- if not (eq .skipB64enc true) }}
{{- $password = $password | b64enc }}
{{- end -}}
{{- printf "%s" $password | quote -}}
{{- end -}}
