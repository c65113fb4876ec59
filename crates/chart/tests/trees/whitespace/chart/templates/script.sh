kind: {{ .Template.Name }}
