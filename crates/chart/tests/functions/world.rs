//! The values that templates see, and our side of the comparison.

use std::cell::Cell;

use chart::functions::Facts;
use chart::render::{Capabilities, Given, HelmVersion, KubeVersion, Options, Release, Source, metadata, render as render_chart};
use chart::value::{Str, Value};
use serde_json::{Value as Json, json};

use super::seed::Seed;

/// What our side of the comparison knows of the world.
struct World {
    zone: jiff::tz::TimeZone,
    seed: Cell<u64>,
}

impl Facts for World {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn zone(&self) -> jiff::tz::TimeZone {
        self.zone.clone()
    }

    fn random(&self, bytes: &mut [u8]) {
        let mut seed = Seed(self.seed.get());
        bytes.iter_mut().for_each(|byte| *byte = seed.any() as u8);
        self.seed.set(seed.0);
    }
}

/// The values of every case. `$int64` marks what Helm has as such.
pub fn values() -> Json {
    json!({
        "f": 2.75, "n": {"$int64": "42"}, "yes": true, "list": [1, "two", null, {"k": "v"}, [3.5]], "strings": ["b", "a", "", "c"], "empty": [],
        "map": {"a": 1, "b": {"c": "d", "e": [1, 2]}, "x": null, "s": "text"}, "nested": {"a": {"b": {"c": {"d": 1}}}, "b": "flat"},
        "ecKey": include_str!("keys/ec.pem"), "ecKey8": include_str!("keys/ec8.pem"), "rsaKey": include_str!("keys/rsa.pem"), "edKey": include_str!("keys/ed25519.pem"),
        "dsaKey": include_str!("keys/dsa.pem"), "certificate": include_str!("keys/certificate.pem"),
        "oddKey": "-----BEGIN ODD PRIVATE KEY-----\nAAAA\n-----END ODD PRIVATE KEY-----\n",
    })
}

fn plant(json: &Json) -> Value {
    match json {
        Json::Object(entries) => match json["$int64"].as_str() {
            Some(text) => Value::int64(text.parse().unwrap_or_default()),
            None => Value::Map(entries.iter().map(|(key, value)| (Str::from(key.as_str()), plant(value))).collect()),
        },
        Json::Array(items) => Value::list(items.iter().map(plant).collect()),
        plain => Value::from_json(plain),
    }
}

/// What ours makes of a template, in one text.
pub fn render(text: &str, values: &Json, zone: &str) -> String {
    let about = json!({"apiVersion": "v2", "name": "c", "version": "0.1.0"});
    let chart = Source {
        name: "c".into(),
        metadata: metadata(about.as_object().expect("an object")),
        templates: vec![("templates/t.yaml".into(), text.as_bytes().to_vec())],
        ..Source::default()
    };
    let given = Given {
        values: plant(values),
        release: Release::default(),
        capabilities: Capabilities {
            kube: KubeVersion { version: "v1.0.0".into(), normalized: "v1.0.0".into(), major: "1".into(), minor: "0".into() },
            api_versions: Vec::new(),
            helm: HelmVersion::default(),
        },
    };
    let world =
        World { zone: jiff::tz::TimeZoneDatabase::bundled().get(zone).expect("a zone"), seed: Cell::new(text.len() as u64) };
    match render_chart(&chart, &given, &world, Options::default()) {
        Ok(files) => files.into_values().collect(),
        Err(error) => format!("error: {error}"),
    }
}
