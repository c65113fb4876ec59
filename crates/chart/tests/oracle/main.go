// The truth that the chart crate is compared with: Helm's own engine, fed by JSON lines.
// One line in, one line out, in order. It never reads a file and never speaks to a cluster.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"text/template"
	"unicode/utf8"
	_ "unsafe" // for linkname

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

// What Helm registers, before its late-bound functions are put in.
//
//go:linkname helmFunctions helm.sh/helm/v4/pkg/engine.funcMap
func helmFunctions() template.FuncMap

// A chart as a line carries it. `metadata` is Chart.yaml as JSON.
type chartIn struct {
	Metadata     *chart.Metadata   `json:"metadata"`
	Templates    map[string]string `json:"templates"`
	Files        map[string]string `json:"files"`
	Values       any               `json:"values"`
	Schema       string            `json:"schema"`
	Dependencies []*chartIn        `json:"dependencies"`
}

type optionsIn struct {
	Strict      bool     `json:"strict"`
	Lint        bool     `json:"lint"`
	DNS         bool     `json:"dns"`
	Name        string   `json:"name"`
	Namespace   string   `json:"namespace"`
	Revision    int      `json:"revision"`
	Upgrade     bool     `json:"upgrade"`
	KubeVersion string   `json:"kubeVersion"`
	APIVersions []string `json:"apiVersions"`
}

// One case. `list` asks for the registered functions instead. `yaml` holds values as text, read as Helm reads a values file.
type caseIn struct {
	List      bool              `json:"list"`
	Chart     *chartIn          `json:"chart"`
	Templates map[string]string `json:"templates"`
	Values    any               `json:"values"`
	YAML      string            `json:"yaml"`
	Options   optionsIn         `json:"options"`
}

// `raw` and `rawError` hold base64 of what is not UTF-8.
type caseOut struct {
	Functions map[string]string `json:"functions,omitempty"`
	Files     map[string]string `json:"files,omitempty"`
	Raw       map[string]string `json:"raw,omitempty"`
	Error     string            `json:"error,omitempty"`
	RawError  string            `json:"rawError,omitempty"`
}

// plant gives numbers of JSON the Go types that Helm would have: float64, or what {"$int64": "5"} says.
func plant(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 1 {
			if text, ok := v["$int64"].(string); ok {
				var n int64
				fmt.Sscan(text, &n)
				return n
			}
			if text, ok := v["$bytes"].(string); ok {
				data, _ := base64.StdEncoding.DecodeString(text)
				return string(data)
			}
		}
		for key, item := range v {
			v[key] = plant(item)
		}
		return v
	case []any:
		for i, item := range v {
			v[i] = plant(item)
		}
		return v
	}
	return v
}

func table(v any) map[string]any {
	if m, ok := plant(v).(map[string]any); ok {
		return m
	}
	return map[string]any{}
}

func files(in map[string]string) []*common.File {
	var out []*common.File
	for name, text := range in {
		data := []byte(text)
		if rest, ok := strings.CutPrefix(text, "$bytes:"); ok {
			data, _ = base64.StdEncoding.DecodeString(rest)
		}
		out = append(out, &common.File{Name: name, Data: data})
	}
	return out
}

func build(in *chartIn) *chart.Chart {
	meta := in.Metadata
	if meta == nil {
		meta = &chart.Metadata{APIVersion: "v2", Name: "c", Version: "0.1.0"}
	}
	out := &chart.Chart{Metadata: meta, Templates: files(in.Templates), Files: files(in.Files), Values: table(in.Values), Schema: []byte(in.Schema)}
	if len(out.Schema) == 0 {
		out.Schema = nil
	}
	for _, dependency := range in.Dependencies {
		out.AddDependency(build(dependency))
	}
	return out
}

func capabilities(in optionsIn) (*common.Capabilities, error) {
	caps := common.DefaultCapabilities.Copy()
	if in.KubeVersion != "" {
		version, err := common.ParseKubeVersion(in.KubeVersion)
		if err != nil {
			return nil, err
		}
		caps.KubeVersion = *version
	}
	if in.APIVersions != nil {
		caps.APIVersions = in.APIVersions
	}
	return caps, nil
}

func render(in *caseIn) (files map[string]string, err error) {
	if in.Chart == nil {
		in.Chart = &chartIn{}
	}
	if in.Chart.Templates == nil {
		in.Chart.Templates = in.Templates
	}
	values := table(in.Values)
	if in.YAML != "" {
		if err := yaml.Unmarshal([]byte(in.YAML), &values); err != nil {
			return nil, err
		}
	}
	caps, err := capabilities(in.Options)
	if err != nil {
		return nil, err
	}
	options := common.ReleaseOptions{
		Name: in.Options.Name, Namespace: in.Options.Namespace, Revision: in.Options.Revision,
		IsUpgrade: in.Options.Upgrade, IsInstall: !in.Options.Upgrade,
	}
	ch := build(in.Chart)
	top, err := util.ToRenderValues(ch, values, options, caps)
	if err != nil {
		return nil, err
	}
	e := engine.Engine{Strict: in.Options.Strict, LintMode: in.Options.Lint, EnableDNS: in.Options.DNS}
	return e.Render(ch, top)
}

func answer(line []byte) (out caseOut) {
	var in caseIn
	if err := json.NewDecoder(bytes.NewReader(line)).Decode(&in); err != nil {
		return caseOut{Error: "oracle: " + err.Error()}
	}
	if in.List {
		out.Functions = map[string]string{}
		for name, fn := range helmFunctions() {
			out.Functions[name] = reflect.TypeOf(fn).String()
		}
		return out
	}
	rendered, err := render(&in)
	if err != nil {
		text := err.Error()
		if !utf8.ValidString(text) {
			return caseOut{Error: strings.ToValidUTF8(text, "\uFFFD"), RawError: base64.StdEncoding.EncodeToString([]byte(text))}
		}
		return caseOut{Error: text}
	}
	out.Files = map[string]string{}
	for name, text := range rendered {
		if utf8.ValidString(text) {
			out.Files[name] = text
			continue
		}
		if out.Raw == nil {
			out.Raw = map[string]string{}
		}
		out.Raw[name] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return out
}

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for {
		line, err := in.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if err := encoder.Encode(answer(line)); err != nil {
				os.Exit(1)
			}
			// A caller who sends one case and waits gets its answer; a batch is written in large pieces.
			if in.Buffered() == 0 {
				out.Flush()
			}
		}
		if err != nil {
			return
		}
	}
}
