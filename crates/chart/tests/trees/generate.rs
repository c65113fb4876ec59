//! Trees of charts by chance: values at several levels, dependencies of all kinds, files, rules, hooks and helpers.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value as Json, json};

/// Files by path.
pub type Files = BTreeMap<String, String>;

const CHARTS: &[&str] = &["alpha", "beta", "gamma"];
const ALIASES: &[&str] = &["beta", "delta", "a-b", "under_score"];
const KEYS: &[&str] = &["a", "b", "name", "enabled", "list", "t", "n", "x-y", "alpha", "delta"];
const TAGS: &[&str] = &["front", "back", "none"];

fn pick<'t>(random: &mut StdRng, table: &'t [&'t str]) -> &'t str {
    table.choose(random).expect("something")
}

fn one_in(random: &mut StdRng, many: u32) -> bool {
    random.random_range(0..many) == 0
}

fn scalar(random: &mut StdRng) -> Json {
    match random.random_range(0..10) {
        0 => Json::Null,
        1 | 2 => Json::Bool(random.random()),
        3 => json!(random.random_range(-3..2000)),
        4 => json!(1_000_000),
        5 => json!(f64::from(random.random_range(-9..9)) / 4.0),
        _ => json!(
            *["", "x", "two words", "{{ .Release.Name }}", "a: b", "line\nbreak\n", "0644", "é", "true", "- c"]
                .choose(random)
                .expect("texts")
        ),
    }
}

fn value(random: &mut StdRng, depth: u32) -> Json {
    match random.random_range(0..if depth == 0 { 6 } else { 10 }) {
        0..6 => scalar(random),
        6 => Json::Array((0..random.random_range(0..4)).map(|_| value(random, depth - 1)).collect()),
        _ => Json::Object(table(random, depth - 1)),
    }
}

fn table(random: &mut StdRng, depth: u32) -> Map<String, Json> {
    (0..random.random_range(0..5)).map(|_| (pick(random, KEYS).to_owned(), value(random, depth))).collect()
}

/// Values that mean subcharts, globals and tags too.
fn values(random: &mut StdRng, depth: u32) -> Map<String, Json> {
    let mut values = table(random, 2);
    if !one_in(random, 3) {
        values.insert("global".to_owned(), Json::Object(table(random, 2)));
    }
    if one_in(random, 3) {
        let tags = TAGS.iter().map(|tag| ((*tag).to_owned(), Json::Bool(random.random())));
        values.insert("tags".to_owned(), Json::Object(tags.collect()));
    }
    if one_in(random, 3) {
        values.insert("exports".to_owned(), json!({"data": table(random, 1)}));
    }
    for name in CHARTS.iter().chain(ALIASES) {
        if depth > 0 && one_in(random, 3) {
            let mut below = self::values(random, depth - 1);
            if one_in(random, 3) {
                below.insert("enabled".to_owned(), Json::Bool(random.random()));
            }
            values.insert((*name).to_owned(), Json::Object(below));
        }
    }
    values
}

fn dependency(random: &mut StdRng, name: &str) -> Json {
    let mut dependency = json!({"name": name, "version": pick(random, &["1.0.0", "^1", ">=0.1-0", "1.x", "~1.0", "*"])});
    let mut put = |key: &str, value: Json| drop(dependency.as_object_mut().map(|fields| fields.insert(key.to_owned(), value)));
    if one_in(random, 3) {
        put(
            "condition",
            json!(pick(random, &["alpha.enabled", "beta.enabled,global.b", "enabled", "delta.enabled", "global.enabled"])),
        );
    }
    if one_in(random, 4) {
        put("tags", json!([pick(random, TAGS)]));
    }
    if one_in(random, 4) {
        put("alias", json!(pick(random, ALIASES)));
    }
    if one_in(random, 3) {
        let wishes = [
            json!(["data"]),
            json!([{"child": "t", "parent": "imported.deep"}]),
            json!([{"child": "exports.data", "parent": "."}, "data"]),
            json!([{"child": "global", "parent": "global"}]),
        ];
        put("import-values", wishes.choose(random).expect("wishes").clone());
    }
    dependency
}

const EXPRESSIONS: &[&str] = &[
    "{{ .Values | toJson }}",
    "{{ .Values.KEY | toJson }}",
    "{{ .Values.KEY }}",
    "{{ .Values.KEY | quote }}",
    "{{ .Values.global | toJson }}",
    "{{ (.Values.global).KEY | default \"none\" | toJson }}",
    "{{ ((.Values.KEY).KEY2).KEY | toJson }}",
    "{{ .Values.KEY.KEY2 | toJson }}",
    "{{ toYaml .Values | nindent 2 }}",
    "{{ toYaml .Values.KEY | nindent 2 }}",
    "{{ include \"shared\" . }}",
    "{{ include \"CHART.own\" . | indent 2 | trim }}",
    "{{ include \"walk\" .Values | squote }}",
    "{{ tpl (toString .Values.KEY) . | quote }}",
    "{{ range $k, $v := .Values }}{{ $k }}={{ kindOf $v }} {{ end }}",
    "{{ range $i, $v := .Values.list }}{{ $i }}:{{ $v }} {{ else }}no list{{ end }}",
    "{{ with .Values.KEY }}{{ . | toJson }}{{ else with .Values.KEY2 }}2 {{ . }}{{ else }}none{{ end }}",
    "{{ if .Values.KEY }}yes{{ else if .Values.KEY2 }}second{{ else }}no{{ end }}",
    "{{ range $p, $_ := .Files.Glob \"GLOB\" }}{{ $p }} {{ end }}",
    "{{ (.Files.Glob \"GLOB\").AsConfig | nindent 2 }}",
    "{{ (.Files.Glob \"GLOB\").AsSecrets | quote }}",
    "{{ .Files.Get \"files/a.txt\" | quote }} {{ .Files.Lines \"files/a.txt\" }}",
    "{{ range $n, $s := .Subcharts }}{{ $n }} {{ $s.Chart.Name }} {{ $s.Values | toJson }} {{ end }}",
    "{{ .Chart.Name }}-{{ .Chart.Version }} {{ .Chart.IsRoot }} {{ .Template.Name }} {{ .Template.BasePath }}",
    "{{ range .Chart.Dependencies }}{{ .Name }} {{ .Alias }} {{ .Enabled }} {{ .Tags }} {{ .Condition }} {{ .ImportValues | toJson }}; {{ end }}",
    "{{ $_ := set .Values \"KEY\" \"set in CHART\" }}{{ .Values.KEY }}",
    "{{ merge (dict) (.Values.t | default dict | deepCopy) (dict \"KEY\" 1) | toJson }}",
    "{{ mergeOverwrite (deepCopy .Values) (dict \"KEY\" (dict \"KEY2\" 2)) | toJson }}",
    "{{ .Values | toYaml | sha256sum | trunc 8 }}",
    "{{ dig \"KEY\" \"KEY2\" \"dug\" (.Values.global | default dict) }}",
    "{{ omit .Values \"global\" \"KEY\" | toJson }} {{ keys .Values | sortAlpha }}",
    "{{ .Values.KEY | required \"KEY is needed\" }}",
    "{{ index .Values \"x-y\" | toJson }} {{ hasKey .Values \"KEY\" }}",
    "{{ .Values.AsMap | len }} {{ typeOf .Values.KEY }}",
    "{{ include (print $.Template.BasePath \"/t0.yaml\") . | sha1sum }}",
];

fn expression(random: &mut StdRng, chart: &str) -> String {
    let plain = KEYS.iter().filter(|key| !key.contains('-')).copied().collect::<Vec<_>>();
    let globs = ["**", "files/*", "*.md", "files/**.txt", "**/b.*", "conf/[a-c]*"];
    pick(random, EXPRESSIONS)
        .replace("KEY2", pick(random, &plain))
        .replace("KEY", pick(random, &plain))
        .replace("CHART", chart)
        .replace("GLOB", pick(random, &globs))
}

fn template(random: &mut StdRng, chart: &str, at: usize) -> String {
    let kinds = ["ConfigMap", "Service", "Deployment", "Zed", "Job", "Secret"];
    let parts = (0..random.random_range(1..3)).map(|part| {
        let mut text = format!("apiVersion: v1\nkind: {}\nmetadata:\n  name: {chart}-{at}-{part}\n", pick(random, &kinds));
        if one_in(random, 5) {
            let event = pick(random, &["pre-install", "post-install,test", "bogus", "pre-delete"]);
            text.push_str(&format!("  annotations: {{helm.sh/hook: '{event}', helm.sh/hook-weight: '{}'}}\n", at));
        }
        text.push_str("data:\n");
        for line in 0..random.random_range(1..4) {
            let block = if one_in(random, 3) { "|\n    " } else { "" };
            // Including itself without end is an error that takes long to come.
            let found = loop {
                let found = expression(random, chart);
                if at > 0 || !found.contains("/t0.yaml") {
                    break found;
                }
            };
            text.push_str(&format!("  k{line}: {block}{found}\n"));
        }
        text
    });
    let parts: Vec<String> = parts.collect();
    parts.join(pick(random, &["---\n", "\n---\n", "--- # part\n"]))
}

fn helpers(random: &mut StdRng, chart: &str) -> String {
    let mut text =
        format!("{{{{- define \"{chart}.own\" }}}}\nchart: {chart}\nvalue: {}\n{{{{ end -}}}}\n", "{{ .Values.name | quote }}");
    if !one_in(random, 3) {
        text.push_str(&format!("{{{{ define \"shared\" -}}}}by {chart}: {{{{ .Chart.Name }}}}{{{{- end }}}}\n"));
    }
    text.push_str(
        "{{ define \"walk\" }}{{ if kindIs \"map\" . }}{ {{- range $k, $v := . }}{{ $k }}:{{ include \"walk\" $v }},{{ end -}} }\
         {{ else if kindIs \"slice\" . }}[{{ range . }}{{ include \"walk\" . }},{{ end }}]{{ else }}{{ . }}{{ end }}{{ end }}\n",
    );
    text
}

/// A chart's files, its subcharts' among them.
pub fn chart(random: &mut StdRng, depth: u32, name: &str) -> Files {
    let mut files = Files::new();
    let mut dependencies = Vec::new();
    for below in CHARTS {
        if depth == 0 || one_in(random, 3) {
            continue;
        }
        for _ in 0..random.random_range(0..3) {
            dependencies.push(dependency(random, below));
        }
        let inner = chart(random, depth - 1, below);
        files.extend(inner.into_iter().map(|(path, text)| (format!("charts/{below}/{path}"), text)));
    }
    let api = pick(random, &["v1", "v2", "v2", "v2", "v2"]);
    let mut metadata = json!({"apiVersion": api, "name": name, "version": pick(random, &["1.0.0", "1.0.7", "1.0.0+b"])});
    let mut put = |key: &str, value: Json| drop(metadata.as_object_mut().map(|fields| fields.insert(key.to_owned(), value)));
    if one_in(random, 8) && depth < 2 {
        put("type", json!("library"));
    }
    if one_in(random, 3) {
        put("appVersion", json!(pick(random, &["1.0", "latest"])));
    }
    if api == "v1" && !dependencies.is_empty() {
        files.insert("requirements.yaml".to_owned(), json!({"dependencies": dependencies}).to_string());
    } else if !dependencies.is_empty() {
        put("dependencies", json!(dependencies));
    }
    files.insert("Chart.yaml".to_owned(), metadata.to_string());
    if !one_in(random, 8) {
        files.insert("values.yaml".to_owned(), Json::Object(values(random, depth)).to_string());
    }
    files.insert("templates/_helpers.tpl".to_owned(), helpers(random, name));
    for at in 0..random.random_range(1..4) {
        files.insert(format!("templates/t{at}.yaml"), template(random, name, at));
    }
    if one_in(random, 3) {
        files.insert("templates/NOTES.txt".to_owned(), format!("notes of {name}: {}\n", expression(random, name)));
    }
    if one_in(random, 4) {
        files.insert("crds/c.yaml".to_owned(), format!("kind: CustomResourceDefinition\nmetadata: {{name: {name}}}\n"));
    }
    for path in ["files/a.txt", "files/deep/b.txt", "conf/b.json", "README.md", "x.bak"] {
        if !one_in(random, 3) {
            files.insert(path.to_owned(), format!("{path} of {name}\n  second: line\n"));
        }
    }
    if one_in(random, 3) {
        let rules = ["*.bak\n", "files/\n!x\n", "/conf/b.*\n# c\n", "deep\n", "*.md\n*.txt\n", "charts/gamma\n"];
        files.insert(".helmignore".to_owned(), pick(random, &rules).to_owned());
    }
    files
}

/// What the user says: the text of a file of values, and settings.
pub fn user(random: &mut StdRng) -> (String, Vec<String>) {
    let settings = (0..random.random_range(0..3)).map(|_| {
        let path: Vec<&str> = (0..random.random_range(1..4)).map(|_| pick(random, KEYS)).collect();
        format!("{}={}", path.join("."), pick(random, &["1", "true", "null", "x", "{a,2}", "1.5", "false", ""]))
    });
    let settings: Vec<String> = settings.collect();
    (Json::Object(values(random, 2)).to_string(), settings)
}
