//! Arguments that only some functions understand: patterns, layouts, versions, addresses, documents.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::literals::{any, int, quoted, text};
use super::seed::Seed;

/// Lists of texts and expressions to choose from, by name.
fn pool(name: &str) -> &'static [String] {
    static POOLS: OnceLock<BTreeMap<String, Vec<String>>> = OnceLock::new();
    let pools = POOLS.get_or_init(|| serde_json::from_str(include_str!("pools.json")).expect("the pools are JSON"));
    pools.get(name).expect("a pool of this name")
}

fn one_of(seed: &mut Seed, choices: &[String]) -> String {
    let chosen = seed.of(choices).as_str();
    if seed.percent(25) { quoted(mutated(seed, chosen).as_bytes()) } else { quoted(chosen.as_bytes()) }
}

/// A text with a few characters taken out, put in, doubled or moved.
fn mutated(seed: &mut Seed, text: &str) -> String {
    const PIECES: &[char] = &[
        '0', '1', '2', '9', 'a', 'x', 'Z', 'T', ' ', '.', ',', ':', ';', '-', '+', '_', '/', '\\', '"', '\'', '[', ']', '{', '}',
        '(', ')', '<', '>', '=', '*', '?', '|', '^', '$', '#', '%', '&', '@', '~', '!', '\n', '\t', 'é', 'µ', 'e', 'E', 'n',
    ];
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..=seed.below(3) {
        let at = seed.below(characters.len() + 1);
        match seed.below(4) {
            0 if at < characters.len() => drop(characters.remove(at)),
            1 if at < characters.len() => characters.insert(at, characters[at]),
            2 if at + 1 < characters.len() => characters.swap(at, at + 1),
            _ => characters.insert(at, *seed.of(PIECES)),
        }
    }
    characters.into_iter().collect()
}

/// Pieces of patterns, put together.
pub fn pattern(seed: &mut Seed) -> String {
    if seed.percent(60) {
        return one_of(seed, pool("pattern_whole"));
    }
    let pieces: String = (0..=seed.below(6)).map(|_| seed.of(pool("pattern_pieces")).as_str()).collect();
    quoted(pieces.as_bytes())
}

/// A replacement with references to groups.
pub fn replacement(seed: &mut Seed) -> String {
    one_of(seed, pool("replacement"))
}

/// A layout of dates.
pub fn layout(seed: &mut Seed) -> String {
    one_of(seed, pool("layout"))
}

/// A text that may be a date.
pub fn date_text(seed: &mut Seed) -> String {
    one_of(seed, pool("date_text"))
}

/// A date as value.
pub fn date(seed: &mut Seed) -> String {
    seed.of(pool("date")).clone()
}

/// A date of Go's own type.
pub fn time(seed: &mut Seed) -> String {
    loop {
        let chosen = date(seed);
        if chosen.starts_with("(toDate") {
            return chosen;
        }
    }
}

/// The name of a zone.
pub fn zone(seed: &mut Seed) -> String {
    one_of(seed, pool("zone"))
}

/// A duration as text.
pub fn duration(seed: &mut Seed) -> String {
    one_of(seed, pool("duration"))
}

/// A duration of any sort.
pub fn any_duration(seed: &mut Seed) -> String {
    if seed.percent(55) { duration(seed) } else { seed.of(pool("any_duration")).clone() }
}

/// A version.
pub fn version(seed: &mut Seed) -> String {
    one_of(seed, pool("version"))
}

/// A constraint on versions.
pub fn constraint(seed: &mut Seed) -> String {
    if seed.percent(50) {
        return one_of(seed, pool("constraint_whole"));
    }
    let mut out = String::new();
    for index in 0..=seed.below(3) {
        if index > 0 {
            out.push_str(seed.of::<&str>(&[" ", ", ", " || ", ","]));
        }
        out.push_str(seed.of(pool("constraint_operators")).as_str());
        out.push_str(seed.of(pool("constraint_versions")).as_str());
    }
    quoted(out.as_bytes())
}

/// A web address.
pub fn url(seed: &mut Seed) -> String {
    one_of(seed, pool("url"))
}

/// A map of the parts of an address.
pub fn url_parts(seed: &mut Seed) -> String {
    if seed.percent(50) {
        return format!("(urlParse {})", url(seed));
    }
    let pairs: Vec<String> = (0..seed.below(6))
        .map(|_| format!("\"{}\" {}", seed.of(pool("url_parts_parts")), seed.of(pool("url_parts_values"))))
        .collect();
    format!("(dict {})", pairs.join(" "))
}

/// A path.
pub fn path(seed: &mut Seed) -> String {
    let pieces: String = (0..seed.below(6)).map(|_| seed.of(pool("path_pieces")).as_str()).collect();
    quoted(pieces.as_bytes())
}

/// A document in JSON.
pub fn json(seed: &mut Seed) -> String {
    one_of(seed, pool("json"))
}

/// A document in YAML.
pub fn yaml(seed: &mut Seed) -> String {
    one_of(seed, pool("yaml"))
}

/// A document in TOML.
pub fn toml(seed: &mut Seed) -> String {
    one_of(seed, pool("toml"))
}

/// Base 64 or 32, good and bad.
pub fn base_text(seed: &mut Seed) -> String {
    one_of(seed, pool("base_text"))
}

/// A name of a type or kind.
pub fn type_name(seed: &mut Seed) -> String {
    one_of(seed, pool("type_name"))
}

/// A key.
pub fn key(seed: &mut Seed) -> String {
    if seed.percent(90) { one_of(seed, pool("key")) } else { text(seed) }
}

/// The address of a host, or none.
pub fn addresses(seed: &mut Seed) -> String {
    seed.of(pool("addresses")).clone()
}

/// Alternative names.
pub fn names(seed: &mut Seed) -> String {
    seed.of(pool("names")).clone()
}

/// A base-64 of ciphertext or not.
pub fn ciphertext(seed: &mut Seed) -> String {
    one_of(seed, pool("ciphertext"))
}

/// A count that stays small.
pub fn small(seed: &mut Seed) -> String {
    if seed.percent(10) { (*seed.of(&["-1", "0", "-5", "100"])).to_owned() } else { int(seed) }
}

/// Whatever there is.
pub fn whatever(seed: &mut Seed) -> String {
    any(seed, 2)
}
