//! How fast templates render. Not a test: run it with `--release -- --ignored --nocapture`.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement reads the clock and tells what it found")]
#![allow(dead_code, reason = "the harness is shared")]

use std::time::Instant;

use serde_json::json;

mod beside;
#[path = "templates/harness.rs"]
mod harness;

const BODY: &str = r#"{{- define "name" }}{{ printf "%s-%s" .Release.Name .Values.s | trunc 63 | trimSuffix "-" }}{{ end }}
{{- range $i, $e := until 20000 }}
---
name: {{ include "name" $ }}-{{ $i }}
{{- if eq (mod $i 2) 0 }}
replicas: {{ $.Values.m.replicas | default 1 }}
{{- else if $.Values.none }}
none: x
{{- end }}
{{- with $.Values.m }}
labels: {{ .labels | toJson | quote }}
{{- range $k, $v := .labels }}
  {{ $k }}: {{ $v | upper | quote }}
{{- end }}
{{- end }}
{{- end }}
"#;

#[test]
#[ignore = "a measurement"]
fn a_large_template_renders() {
    let case = json!({"templates": {"templates/a.yaml": BODY}, "options": {"name": "rel"},
        "values": {"s": "text", "m": {"replicas": 3, "labels": {"app": "web", "tier": "front", "zone": "a"}}}});
    let mut best = f64::MAX;
    let mut length = 0;
    for _ in 0..5 {
        let start = Instant::now();
        length = harness::ours(&case).len();
        best = best.min(start.elapsed().as_secs_f64());
    }
    let cases = vec![case; 5];
    let start = Instant::now();
    beside::ask("oracle", &cases[..1]);
    let one = start.elapsed().as_secs_f64();
    let start = Instant::now();
    beside::ask("oracle", &cases);
    let theirs = (start.elapsed().as_secs_f64() - one) / 4.0;
    println!("{length} bytes: ours {:.1} ms, Helm's engine {:.1} ms, {:.1} times", best * 1e3, theirs * 1e3, theirs / best);
}
