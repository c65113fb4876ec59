{{- define "common.errors.insecureImages" -}}
{{- $relocatedImages := list -}}
{{- range .images -}}
  {{- if ne .registry "registry.example" }}{{- $relocatedImages = append $relocatedImages (printf "%s/%s" .registry .repository) -}}{{- end -}}
{{- end -}}
{{- if gt (len $relocatedImages) 0 -}}
  {{- $errorString := "\n\n⚠ ERROR: Original containers have been substituted for unrecognized ones.\n\nUnrecognized images:" -}}
  {{- range $relocatedImages }}{{- $errorString = printf "%s\n  - %s" $errorString . -}}{{- end -}}
  {{- if (.context.Values.global.security.allowInsecureImages) }}
    {{- print "allowed" -}}
  {{- else -}}
    {{- print $errorString | fail -}}
  {{- end -}}
{{- end -}}
{{- end -}}
