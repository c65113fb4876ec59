//! Every function that Helm registers, called with generated arguments here and in Helm, outputs and errors compared.
//! `SEED` repeats a run, `CASES` says how many cases a function gets.
#![expect(clippy::disallowed_methods, reason = "the seed may come from outside, and the clock is the one that Helm looks at")]

mod oracle;

#[path = "functions/literals.rs"]
mod literals;
#[path = "functions/plans.rs"]
mod plans;
#[path = "functions/seed.rs"]
mod seed;
#[path = "functions/special.rs"]
mod special;
#[path = "functions/world.rs"]
mod world;

use std::collections::BTreeMap;

use seed::Seed;

/// Cases a function, where it does not say otherwise; with over 200 functions this makes more than 20,000 in all.
const CASES: usize = 105;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The seed unless `SEED` names one: who builds gets what everyone gets, who looks for differences tries others.
const USUAL_SEED: u64 = 41;

#[test]
fn every_function_gives_what_helm_gives() {
    let seed = setting("SEED", USUAL_SEED);
    let cases = setting("CASES", CASES as u64) as usize;
    let only = std::env::var("FUNCTION").ok();
    eprintln_seed(seed);
    let mut templates = Vec::new();
    let mut forgotten = Vec::new();
    for name in oracle::functions().keys() {
        if only.as_ref().is_some_and(|only| !name.eq_ignore_ascii_case(only)) {
            continue;
        }
        let Some(plan) = plans::of(name) else {
            forgotten.push(name.clone());
            continue;
        };
        let start = name.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let mut random = Seed(start);
        for _ in 0..plan.cases.unwrap_or(cases) {
            templates.push((name.clone(), plans::case(name, &plan, &mut random)));
        }
    }
    assert!(forgotten.is_empty(), "nobody tries {forgotten:?}");
    assert!(only.is_some() || cases < CASES || templates.len() >= 20_000, "only {} cases", templates.len());
    let differences = compare(&templates, "Europe/Berlin");
    assert!(differences.is_empty(), "seed {seed}: {}", report(&differences, templates.len()));
}

#[test]
fn calls_that_want_too_much_are_refused() {
    let calls = [
        "repeat 1000000000 \"x\"",
        "until 1000000000",
        "untilStep 0 9223372036854775807 1",
        "seq 1 1000000000",
        "indent 1000000000 \"x\"",
        "nindent 100000 (repeat 100000 \"\\n\")",
        "randAlpha 1000000000",
        "randBytes 1000000000",
        "replace \"\" (repeat 100000 \"x\") (repeat 100000 \"y\")",
        "regexReplaceAll \"\" (repeat 100000 \"y\") (repeat 100000 \"x\")",
        "join (repeat 100000 \"x\") (splitList \"\" (repeat 100000 \"y\"))",
        "wrapWith 1 (repeat 100000 \"x\") (repeat 100000 \"y\")",
    ];
    for call in calls {
        let answer = world::render(&format!("{{{{ {call} }}}}"), &world::values(), "UTC");
        assert!(answer.contains("is refused"), "{call}: {}", answer.chars().take(200).collect::<String>());
    }
}

/// The parameters of a row, as Go's reflection prints them.
fn parameters(function: &chart::functions::Function) -> String {
    let last = function.params.len().saturating_sub(1);
    let shown = |(place, of): (usize, &chart::value::Type)| match function.variadic && place == last {
        true => format!("...{of}"),
        false => of.to_string(),
    };
    function.params.iter().enumerate().map(shown).collect::<Vec<_>>().join(", ")
}

#[test]
fn every_row_has_the_signature_that_helm_registers() {
    let ours: BTreeMap<String, String> = chart::functions::FAMILIES
        .iter()
        .flat_map(|(_, functions)| *functions)
        .map(|function| (function.name.to_owned(), parameters(function)))
        .collect();
    let of_go = |signature: &String| {
        let rest = signature.trim_start_matches("func(");
        rest.rsplit_once(") ").map_or(rest, |(parameters, _)| parameters.split(") (").next().unwrap_or(parameters)).to_owned()
    };
    let theirs: BTreeMap<String, String> =
        oracle::functions().iter().map(|(name, signature)| (name.clone(), of_go(signature))).collect();
    assert_eq!(ours, theirs);
    let rows: usize = chart::functions::FAMILIES.iter().map(|(_, functions)| functions.len()).sum();
    assert_eq!(rows, ours.len(), "a function stands in two families");
}

fn eprintln_seed(seed: u64) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SEED={seed}");
}

struct Difference {
    function: String,
    template: String,
    ours: String,
    theirs: String,
}

fn compare(templates: &[(String, String)], zone: &str) -> Vec<Difference> {
    let values = world::values();
    let cases: Vec<serde_json::Value> = templates.iter().map(|(_, text)| oracle::template(text, &values)).collect();
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| oracle::ask_in(&cases, zone));
        let ours: Vec<String> = templates.iter().map(|(_, text)| survived(text, &values, zone)).collect();
        (theirs.join().expect("the oracle answers"), ours)
    });
    let both = theirs.into_iter().zip(ours).zip(templates);
    let mut differences = Vec::new();
    for ((theirs, ours), (function, template)) in both {
        let theirs = match theirs {
            Ok(files) => files.into_values().collect::<String>(),
            Err(error) => format!("error: {error}"),
        };
        if theirs != ours {
            differences.push(Difference { function: function.clone(), template: template.clone(), ours, theirs });
        }
    }
    differences
}

/// What ours makes of a template. A panic is a defect like any other, and told with its template.
fn survived(text: &str, values: &serde_json::Value, zone: &str) -> String {
    let rendered = std::panic::catch_unwind(|| world::render(text, values, zone));
    rendered.unwrap_or_else(|_| "panic".to_owned())
}

/// A few differences of each function, so that one defect does not hide the others.
fn report(differences: &[Difference], cases: usize) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut out = format!("{} of {cases} cases differ\n", differences.len());
    for difference in differences {
        let count = counts.entry(&difference.function).or_default();
        *count += 1;
        if *count <= setting("SHOWN", 3) as usize {
            out.push_str(&format!("{}\n  helm {:?}\n  ours {:?}\n", difference.template, difference.theirs, difference.ours));
        }
    }
    out.push_str(&format!("{counts:?}\n"));
    out
}
