module yaml-oracle

go 1.26

require sigs.k8s.io/yaml v1.6.0

require lines v0.0.0

replace lines => ../lines

require (
	go.yaml.in/yaml/v2 v2.4.4 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
