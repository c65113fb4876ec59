// Answers, a JSON line each, what Helm makes of settings, and of a chart with values before templates see them.
package main

import (
	"fmt"
	"io"
	"lines"
	"log"
	"log/slog"
	"os"
	"sort"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/ignore"
	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"
)

type question struct {
	Op     string            `json:"op"`
	Kind   string            `json:"kind"`
	Text   string            `json:"text"`
	Values map[string]any    `json:"values"`
	Files  map[string]string `json:"files"`
	Folder bool              `json:"folder"`
}

type answer struct {
	Out   any    `json:"out"`
	Error string `json:"error"`
}

func failed(err error) answer { return answer{Error: err.Error()} }

func set(q question) answer {
	values := q.Values
	if values == nil {
		values = map[string]any{}
	}
	var err error
	switch q.Kind {
	case "typed":
		err = strvals.ParseInto(q.Text, values)
	case "text":
		err = strvals.ParseIntoString(q.Text, values)
	case "json":
		err = strvals.ParseJSON(q.Text, values)
	case "literal":
		err = strvals.ParseLiteralInto(q.Text, values)
	}
	if err != nil {
		return failed(err)
	}
	return answer{Out: values}
}

func names(c *chart.Chart) any {
	out := map[string]any{}
	for _, d := range c.Dependencies() {
		out[d.Name()] = names(d)
	}
	return out
}

func load(q question) answer {
	files := []*archive.BufferedFile{}
	paths := []string{}
	for path := range q.Files {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	for _, path := range paths {
		files = append(files, &archive.BufferedFile{Name: path, Data: []byte(q.Files[path])})
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		return failed(err)
	}
	metadata, err := yaml.Marshal(c.Metadata)
	if err != nil {
		return failed(err)
	}
	if err := chartutil.ProcessDependencies(c, q.Values); err != nil {
		return failed(err)
	}
	top, err := util.ToRenderValues(c, q.Values, common.ReleaseOptions{Name: "r", Namespace: "n"}, nil)
	if err != nil {
		return failed(err)
	}
	return answer{Out: map[string]any{"values": top["Values"], "charts": names(c), "metadata": string(metadata)}}
}

type folder struct{ os.FileInfo }

func (folder) IsDir() bool { return true }

type file struct{ os.FileInfo }

func (file) IsDir() bool { return false }

func ignored(q question) answer {
	dir, _ := os.MkdirTemp("", "ignore")
	defer os.RemoveAll(dir)
	path := dir + "/.helmignore"
	_ = os.WriteFile(path, []byte(q.Text), 0o644)
	rules, err := ignore.ParseFile(path)
	if err != nil {
		return failed(err)
	}
	rules.AddDefaults()
	out := map[string]bool{}
	for path := range q.Files {
		if q.Folder {
			out[path] = rules.Ignore(path, folder{})
		} else {
			out[path] = rules.Ignore(path, file{})
		}
	}
	return answer{Out: out}
}

func reply(q question) (a answer) {
	defer func() {
		if r := recover(); r != nil {
			a.Error = fmt.Sprint("panic: ", r)
		}
	}()
	switch q.Op {
	case "set":
		return set(q)
	case "load":
		return load(q)
	default:
		return ignored(q)
	}
}

func main() {
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	lines.Serve(reply)
}
