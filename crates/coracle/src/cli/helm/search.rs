//! `helm search`: charts by words, in what the known repositories offered last. It fetches nothing.

use chart::semver::{Constraint, Version};
use regex::Regex;
use serde_json::{Value as Json, json};

use super::flags::{Flag, Kind, Matches, of, switch};
use super::repositories::{self, Index, Offer};
use super::tables::table;
use super::{Done, Fault, repo, settings};
use crate::output;

/// Flags of `search repo`.
pub(super) const REPO_FLAGS: &[Flag] = &[
    switch("regexp", "use regular expressions for searching repositories you have added").short('r'),
    switch("versions", "show the long listing, with each version of each chart on its own line").short('l'),
    switch("devel", "use development versions, too. Equivalent to version '>0.0.0-0'. If --version is set, this is ignored"),
    of(Kind::Text, "version", "search using semantic versioning constraints on repositories you have added"),
    of(Kind::Number, "max-col-width", "maximum column width for output table").default("50"),
    switch("fail-on-no-result", "search fails if no results are found"),
    of(Kind::Text, "output", "prints the output in the specified format. Allowed values: table, json, yaml")
        .short('o')
        .default("table"),
];

/// The hub is a service on the internet that Coracle does not speak to.
pub(super) fn hub(_: &Matches) -> Done {
    Err(Fault::new("the hub is not searched; look at https://artifacthub.io and add the repository with 'helm repo add'"))
}

/// A chart that was found.
struct Hit {
    name: String,
    score: usize,
    offer: Offer,
}

pub(super) fn repo(matches: &Matches) -> Done {
    repo::check_form(matches)?;
    let hits = fitting(matches, hits(matches)?)?;
    let form = matches.text("output");
    if hits.is_empty() && matches.flag("fail-on-no-result") {
        return Err(Fault::new("no results found"));
    }
    if form == "table" {
        if hits.is_empty() {
            output::line("No results found");
            return Ok(());
        }
        let mut rows = vec![["NAME", "CHART VERSION", "APP VERSION", "DESCRIPTION"].map(str::to_owned).to_vec()];
        rows.extend(hits.into_iter().map(|Hit { name, offer: Offer { metadata, .. }, .. }| {
            vec![name, metadata.version, metadata.app_version, metadata.description]
        }));
        output::line(&table(&rows, matches.text("max-col-width").parse().unwrap_or(50)));
        return Ok(());
    }
    let shown: Vec<Json> = hits
        .into_iter()
        .map(|Hit { name, offer: Offer { metadata, .. }, .. }| {
            json!({
                "name": name,
                "version": metadata.version,
                "app_version": metadata.app_version,
                "description": metadata.description,
            })
        })
        .collect();
    match form {
        "json" => output::line(&Json::Array(shown).to_string()),
        _ => output::text(&chart::yaml::to_yaml(&Json::Array(shown)).unwrap_or_default()),
    }
    Ok(())
}

fn hits(matches: &Matches) -> Result<Vec<Hit>, Fault> {
    let known = repositories::known(&settings::repository_config(matches)).unwrap_or_default();
    if known.is_empty() {
        return Err(Fault::new("no repositories configured"));
    }
    let term = matches.arguments.join(" ");
    let pattern = if matches.flag("regexp") && !term.is_empty() {
        Some(Regex::new(&term).map_err(|_| Fault::new(format!("error parsing regexp: {term:?}")))?)
    } else {
        None
    };
    let mut hits = Vec::new();
    for entry in &known {
        let file = repositories::index_file(&settings::repository_cache(matches), &entry.name);
        let index = match Index::load(&file) {
            Ok(index) => index,
            Err(fault) => {
                output::remark(&format!(
                    "level=WARN msg=\"repo is corrupt or missing\" repo={} error={:?}",
                    entry.name, fault.text
                ));
                continue;
            }
        };
        for (name, offers) in index.entries {
            for offer in offers {
                let line = line_of(&entry.name, &offer);
                if let Some(score) = score(&line, &term, pattern.as_ref()) {
                    hits.push(Hit { name: format!("{}/{name}", entry.name), score, offer });
                }
            }
        }
    }
    hits.sort_by(|a, b| (a.score, &a.name).cmp(&(b.score, &b.name)));
    Ok(hits)
}

/// What is searched of an offer; its parts count less the later they come.
fn line_of(repository: &str, offer: &Offer) -> String {
    let metadata = &offer.metadata;
    let name = &metadata.name;
    [name.clone(), format!("{repository}/{name}"), metadata.description.clone(), metadata.keywords.join(" ")].join("\x0b")
}

fn score(line: &str, term: &str, pattern: Option<&Regex>) -> Option<usize> {
    if term.is_empty() {
        return Some(0);
    }
    let (line, at) = match pattern {
        Some(pattern) => (line.to_owned(), pattern.find(line)?.start()),
        None => {
            let line = line.to_lowercase();
            let at = line.find(&term.to_lowercase())?;
            (line, at)
        }
    };
    Some(line[..at].matches('\x0b').count())
}

/// Those whose version suits; of each chart the newest, where not all are wanted.
fn fitting(matches: &Matches, hits: Vec<Hit>) -> Result<Vec<Hit>, Fault> {
    let wanted = match matches.text("version") {
        "" if matches.flag("devel") => ">0.0.0-0",
        "" => ">0.0.0",
        version => version,
    };
    let wanted =
        Constraint::parse(wanted).map_err(|error| Fault::new(format!("an invalid version/constraint format: {error}")))?;
    let mut kept: Vec<Hit> = Vec::new();
    for hit in hits {
        if !matches.flag("versions") && kept.iter().any(|other| other.name == hit.name) {
            continue;
        }
        if Version::parse(&hit.offer.metadata.version).is_ok_and(|version| wanted.check(&version)) {
            kept.push(hit);
        }
    }
    Ok(kept)
}
