{{ define "parent.only" }}{{ .Chart.Name }} by parent{{ end }}
