//! Settings, charts and their values beside Helm's: the same values, the same subcharts, the same errors.

mod beside;
#[path = "charts/generate.rs"]
mod generate;

use chart::chart::{Chart, File};
use chart::values::{self, SetKind, Values};
use chart::{dependencies, load};
use serde_json::{Map, Value as Json, json};

use beside::{as_floats, ask, chance, number};

/// Fails with the shortest of what differs.
fn report(mut wrong: Vec<String>) {
    wrong.sort_by_key(String::len);
    let count = wrong.len();
    wrong.truncate(6);
    assert!(wrong.is_empty(), "{count} differ:\n{}", wrong.join("\n"));
}

fn compare(wrong: &mut Vec<String>, of: &Json, ours: Result<Json, String>, theirs: &Json) {
    let expected = theirs["error"].as_str().unwrap_or_default();
    match ours {
        Err(error) if error == expected => {}
        Ok(value) if expected.is_empty() && as_floats(&value) == as_floats(&theirs["out"]) => {}
        ours => wrong.push(format!("{of}\n  ours:   {ours:?}\n  theirs: {theirs}")),
    }
}

#[test]
fn settings_are_read_as_helm_reads_them() {
    let mut random = chance();
    let kinds = [("typed", SetKind::Typed), ("text", SetKind::Text), ("json", SetKind::Json), ("literal", SetKind::Literal)];
    let mut questions = Vec::new();
    for at in 0..number("CASES", 6000) {
        let (name, _) = kinds[usize::try_from(at % 4).expect("small")];
        let text = generate::setting(&mut random);
        let values = generate::table(&mut random, 2);
        questions.push(json!({"op": "set", "kind": name, "text": text, "values": values}));
    }
    let answers = ask("charts-oracle", &questions);
    let mut wrong = Vec::new();
    for (question, theirs) in questions.iter().zip(&answers) {
        let text = question["text"].as_str().expect("text");
        let (name, kind) = *kinds.iter().find(|(name, _)| question["kind"] == *name).expect("kind");
        if name == "json" && text.trim().starts_with('{') {
            continue;
        }
        let mut values = values::with_floats(question["values"].as_object().expect("table").clone());
        let ours = values::set(&mut values, kind, text).map(|()| Json::Object(values)).map_err(|error| {
            let error = error.to_string();
            error.split_once(": ").map_or(error.clone(), |(_, rest)| rest.to_owned())
        });
        // Errors of JSON are Go's own and never shown.
        if name == "json" && ours.is_err() && theirs["error"] != "" {
            continue;
        }
        compare(&mut wrong, question, ours, theirs);
    }
    report(wrong);
}

fn names(chart: &Chart) -> Json {
    chart.dependencies.iter().map(|subchart| (subchart.name().to_owned(), names(subchart))).collect::<Map<_, _>>().into()
}

fn loaded(question: &Json) -> Result<Json, String> {
    let files = question["files"].as_object().expect("files").iter().map(|(name, text)| File {
        name: name.clone(),
        data: text.as_str().expect("text").as_bytes().to_vec(),
        modified: None,
    });
    let mut chart = load::load(files.collect()).map_err(|error| error.to_string())?.chart;
    let metadata = chart.metadata.to_yaml();
    let values: Values = values::with_floats(question["values"].as_object().expect("table").clone());
    dependencies::process(&mut chart, &values).map_err(|error| error.to_string())?;
    let coalesced = values::coalesce(&chart, &values).map_err(|error| error.to_string())?;
    let values = Json::Object(values::to_tree(&coalesced.values));
    Ok(json!({"values": values, "charts": names(&chart), "metadata": metadata}))
}

#[test]
fn charts_get_the_values_that_helm_gives_them() {
    let mut random = chance();
    let questions: Vec<Json> = (0..number("CASES", 1500))
        .map(|_| {
            let files = generate::chart(&mut random, 3, "root");
            json!({"op": "load", "files": files, "values": generate::user_values(&mut random)})
        })
        .collect();
    let answers = ask("charts-oracle", &questions);
    let mut wrong = Vec::new();
    for (question, theirs) in questions.iter().zip(&answers) {
        let ours = loaded(question);
        // Helm looks at subcharts in the order of a Go map, so of several faults it tells any.
        if ours.is_err() && theirs["error"] != "" && question["files"].to_string().contains("charts/other/") {
            continue;
        }
        compare(&mut wrong, question, ours, theirs);
    }
    report(wrong);
}

#[test]
fn files_are_ignored_as_helm_ignores_them() {
    let mut random = chance();
    let questions: Vec<Json> = (0..number("CASES", 3000))
        .map(|at| {
            let files: Map<String, Json> = (0..8).map(|_| (generate::path(&mut random), Json::from(""))).collect();
            json!({"op": "ignore", "text": generate::rules(&mut random), "files": files, "folder": at % 3 == 0})
        })
        .collect();
    let answers = ask("charts-oracle", &questions);
    let mut wrong = Vec::new();
    for (question, theirs) in questions.iter().zip(&answers) {
        let folder = question["folder"] == true;
        let ours = load::ignore::Rules::parse(question["text"].as_str().expect("text"))
            .map(|rules| {
                let files = question["files"].as_object().expect("files");
                files.keys().map(|path| (path.clone(), Json::from(rules.ignores(path, folder)))).collect::<Map<_, _>>().into()
            })
            .map_err(|error| error.to_string());
        compare(&mut wrong, question, ours, theirs);
    }
    report(wrong);
}

/// A `.tgz` of entries: a name, a kind and contents.
fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, kind, data) in entries {
        let mut header = tar::Header::new_gnu();
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(data.len() as u64);
        header.set_cksum();
        tar.append(&header, *data).expect("an entry");
    }
    tar.into_inner().and_then(flate2::write::GzEncoder::finish).expect("an archive")
}

#[test]
fn hostile_archives_are_refused_in_helms_words() {
    let file = tar::EntryType::Regular;
    let refused = [
        ("c//etc/passwd", "chart illegally contains absolute paths"),
        ("c/../../x", "chart illegally references parent directory"),
        ("c/a/../../x", "chart illegally references parent directory"),
        ("c\\..\\x", "chart illegally references parent directory"),
        ("c/c:/x", "chart contains illegally named files"),
        ("c", "chart illegally contains content outside the base directory: \"c\""),
        ("Chart.yaml/x", "chart yaml not in base directory"),
    ];
    for (name, words) in refused {
        let bytes = archive(&[("c/Chart.yaml", file, b"a"), (name, file, b"x")]);
        assert_eq!(load::unpack(&bytes).expect_err(name).to_string(), words, "{name}");
    }
    let link = archive(&[("c/link", tar::EntryType::Symlink, b"")]);
    assert_eq!(load::unpack(&link).expect("a link carries nothing")[0].data, b"");
    let large = vec![0; 60 * 1024 * 1024];
    let bomb = archive(&[("c/a", file, &large), ("c/b", file, &large)]);
    let words = load::unpack(&bomb).expect_err("a bomb").to_string();
    assert_eq!(words, "decompressed chart is larger than the maximum size 104857600");
    assert!(load::unpack(b"no archive").is_err() && load::unpack(&[0x1f, 0x8b, 8, 0]).is_err());
}
