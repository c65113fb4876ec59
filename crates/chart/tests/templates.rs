//! Templates beside Helm's engine: what is written by hand and what is generated, byte for byte and error for error.
//! `SEED` repeats a run, `CASES` lengthens it.
#![expect(clippy::print_stdout, reason = "a test tells how much it has seen")]

use serde_json::{Value as Json, json};

#[allow(dead_code, reason = "each test uses a part of it")]
mod beside;
#[path = "templates/generate.rs"]
mod generate;
#[path = "templates/harness.rs"]
mod harness;
#[path = "templates/typed.rs"]
mod typed;

use beside::{ask, chance, number};
use generate::Generator;
use harness::{ours, shown};

fn compare(cases: &[Json], most: usize) {
    let answers = ask("oracle", cases);
    assert_eq!(answers.len(), cases.len());
    let mut wrong = Vec::new();
    for (case, answer) in cases.iter().zip(&answers) {
        let (theirs, ours) = (shown(answer), ours(case));
        if theirs != ours {
            wrong.push(told(case, &theirs, &ours));
        }
    }
    let failed = answers.iter().filter(|answer| answer["error"].is_string()).count();
    println!("{} cases, {failed} of them errors", cases.len());
    wrong.sort_by_key(String::len);
    let count = wrong.len();
    wrong.truncate(most);
    assert!(wrong.is_empty(), "{count} of {} differ\n{}", cases.len(), wrong.join("\n\n"));
}

#[test]
fn what_never_ends_is_stopped() {
    for text in [
        "{{ define \"t\" }}{{ tpl \"{{ template `t` . }}\" . }}{{ end }}{{ template \"t\" . }}",
        "{{ define \"t\" }}{{ if 1 }}{{ template \"t\" (list .) }}{{ end }}{{ end }}{{ template \"t\" . }}",
        "{{ $x := list }}{{ range until 50000 }}{{ $x = list $x }}{{ end }}{{ $x | print | len }}",
        "{{ $m := dict }}{{ $_ := set $m \"m\" $m }}{{ $m | print | trunc 8 }}",
    ] {
        assert_ne!(ours(&json!({"templates": {"templates/a.yaml": text}, "values": {}})), "a panic");
    }
    let deep = format!("{}1{}", "(".repeat(9000), ")".repeat(9000));
    let nested = format!("{}x{}", "{{ if 1 }}".repeat(15_000), "{{ end }}".repeat(15_000));
    let chained = format!("{{{{ if 0 }}}}{}{{{{ end }}}}", "{{ else if 0 }}".repeat(15_000));
    for text in
        [format!("{{{{ {deep} }}}}"), nested, chained, "{{ if 1 }}".repeat(50_000), "{{ (".repeat(50_000), "(".repeat(50_000)]
    {
        assert_ne!(ours(&json!({"templates": {"templates/a.yaml": text}, "values": {}})), "a panic");
    }
}

/// A difference: the templates, and both answers from shortly before where they part.
fn told(case: &Json, theirs: &str, ours: &str) -> String {
    let same = theirs.bytes().zip(ours.bytes()).take_while(|(a, b)| a == b).count().saturating_sub(60);
    let rest =
        |text: &str| String::from_utf8_lossy(&text.as_bytes()[same.min(text.len())..]).chars().take(400).collect::<String>();
    format!("=== {} {}\n{}\nhelm: {}\nours: {}", case["templates"], case["options"], case["values"], rest(theirs), rest(ours))
}

/// Snippets, a line each; a literal `\n` is a line's end.
const SNIPPETS: &str = include_str!("templates/snippets.txt");

#[test]
fn snippets_give_what_helm_gives() {
    let values: Json = serde_json::from_str(include_str!("templates/values.json")).expect("values");
    let cases: Vec<Json> = SNIPPETS
        .lines()
        .filter(|line| !line.is_empty())
        .flat_map(|line| {
            let templates = json!({
                "templates/a.yaml": line.replace("\\n", "\n"),
                "templates/_p.tpl": "{{define \"p\"}}<{{.}}>{{end}}{{define \"fails\"}}{{ fail \"no\" }}{{end}}{{define \"deep\"}}{{ .a.b.c }}{{end}}",
            });
            [false, true].map(|strict| {
                json!({"templates": templates, "values": values, "options": {"strict": strict, "name": "r", "namespace": "n",
                       "revision": 1, "kubeVersion": "v1.33.4-gke.1", "apiVersions": ["v1", "apps/v1"]}})
            })
        })
        .collect();
    compare(&cases, 40);
}

#[test]
fn generated_templates_give_what_helm_gives() {
    let mut random = chance();
    let cases: Vec<Json> = (0..number("CASES", 1500)).map(|_| Generator::new(&mut random).case()).collect();
    compare(&cases, usize::try_from(number("SHOW", 20)).unwrap_or(20));
}
