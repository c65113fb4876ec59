// Answers, a JSON line each, what `helm template` makes of a chart's folder: manifests, hooks and notes, or an error.
// One process does them all. It speaks to no cluster.
package main

import (
	"bytes"
	"fmt"
	"lines"
	"log"
	"log/slog"
	"os"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/action"
	ci "helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader"
	"helm.sh/helm/v4/pkg/cli"
	"helm.sh/helm/v4/pkg/cli/values"
	"helm.sh/helm/v4/pkg/getter"
	release "helm.sh/helm/v4/pkg/release/v1"
)

type question struct {
	Folder      string   `json:"folder"`
	Chart       string   `json:"chart"`
	Values      []string `json:"values"`
	Set         []string `json:"set"`
	SetString   []string `json:"set-string"`
	SetFile     []string `json:"set-file"`
	SetJSON     []string `json:"set-json"`
	SetLiteral  []string `json:"set-literal"`
	Name        string   `json:"name"`
	Namespace   string   `json:"namespace"`
	KubeVersion string   `json:"kube-version"`
	APIVersions []string `json:"api-versions"`
	Upgrade     bool     `json:"is-upgrade"`
	IncludeCRDs bool     `json:"include-crds"`
	SkipSchema  bool     `json:"skip-schema-validation"`
	SubNotes    bool     `json:"render-subchart-notes"`
}

type answer struct {
	Manifest string   `json:"manifest"`
	Notes    string   `json:"notes"`
	Error    string   `json:"error"`
	Said     []string `json:"said"`
}

var said bytes.Buffer

func reply(q question) (a answer) {
	said.Reset()
	defer func() {
		if r := recover(); r != nil {
			a.Error = fmt.Sprint("panic: ", r)
		}
		a.Said = remarks(said.String())
	}()
	if q.Folder != "" {
		if err := os.Chdir(q.Folder); err != nil {
			return answer{Error: err.Error()}
		}
	}
	rel, err := template(q)
	if err != nil {
		a.Error = err.Error()
	}
	if rel == nil {
		return a
	}
	var out strings.Builder
	fmt.Fprintln(&out, strings.TrimSpace(rel.Manifest))
	if err != nil {
		// Beside an error all files come as they are; hooks that were found by then would be there twice.
		rel.Hooks = nil
	}
	for _, h := range rel.Hooks {
		fmt.Fprintf(&out, "---\n# Source: %s\n%s\n", h.Path, h.Manifest)
	}
	a.Manifest = out.String()
	if rel.Info != nil {
		a.Notes = rel.Info.Notes
	}
	return a
}

func remarks(text string) []string {
	out := []string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		out = append(out, line)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func template(q question) (*release.Release, error) {
	client := action.NewInstall(action.NewConfiguration())
	client.DryRunStrategy = action.DryRunClient
	client.Replace = true
	client.ReleaseName, client.Namespace = q.Name, q.Namespace
	client.IncludeCRDs, client.IsUpgrade = q.IncludeCRDs, q.Upgrade
	client.SkipSchemaValidation, client.SubNotes = q.SkipSchema, q.SubNotes
	client.APIVersions = common.VersionSet(q.APIVersions)
	if q.KubeVersion != "" {
		parsed, err := common.ParseKubeVersion(q.KubeVersion)
		if err != nil {
			return nil, fmt.Errorf("invalid kube version '%s': %w", q.KubeVersion, err)
		}
		client.KubeVersion = parsed
	}
	options := values.Options{
		ValueFiles: q.Values, Values: q.Set, StringValues: q.SetString, FileValues: q.SetFile,
		JSONValues: q.SetJSON, LiteralValues: q.SetLiteral,
	}
	given, err := options.MergeValues(getter.All(cli.New()))
	if err != nil {
		return nil, err
	}
	loaded, err := loader.Load(q.Chart)
	if err != nil {
		return nil, err
	}
	about, err := ci.NewAccessor(loaded)
	if err != nil {
		return nil, err
	}
	if wanted := about.MetaDependencies(); len(wanted) > 0 {
		if err := action.CheckDependencies(loaded, wanted); err != nil {
			return nil, err
		}
	}
	done, err := client.Run(loaded, given)
	rel, _ := done.(*release.Release)
	return rel, err
}

func main() {
	log.SetOutput(&said)
	log.SetFlags(0)
	slog.SetDefault(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, at slog.Attr) slog.Attr {
			if at.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return at
		},
	})))
	lines.Serve(reply)
}
