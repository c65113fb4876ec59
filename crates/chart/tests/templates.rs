//! Templates beside Helm's engine: what is written by hand and what is generated, byte for byte and error for error.
//! `SEED` repeats a run, `CASES` lengthens it.

use serde_json::{Value as Json, json};

#[path = "templates/generate.rs"]
mod generate;
#[path = "templates/harness.rs"]
mod harness;
#[path = "templates/typed.rs"]
mod typed;

use generate::Generator;
use harness::{number, oracle, ours, shown};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

fn compare(cases: &[Json], most: usize) {
    let answers = oracle(cases);
    assert_eq!(answers.len(), cases.len());
    let mut wrong = Vec::new();
    for (case, answer) in cases.iter().zip(&answers) {
        let (theirs, ours) = (shown(answer), ours(case));
        if theirs != ours {
            wrong.push(format!("=== {case}\nhelm: {theirs}\nours: {ours}"));
        }
    }
    let failed = answers.iter().filter(|answer| answer["error"].is_string()).count();
    println!("{} cases, {failed} of them errors", cases.len());
    let count = wrong.len();
    wrong.truncate(most);
    assert!(wrong.is_empty(), "{count} of {} differ\n{}", cases.len(), wrong.join("\n\n"));
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
    let seed = number("SEED", rand::rng().next_u64());
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let cases: Vec<Json> = (0..number("CASES", 4000)).map(|_| Generator::new(&mut random).case()).collect();
    compare(&cases, usize::try_from(number("SHOW", 20)).unwrap_or(20));
}
