//! What is written down of an image, one file each, and how it is read back.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{Image, ImageConfig};

/// One image as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// `sha256:…` of the configuration.
    pub id: String,
    /// Whole references with a tag.
    pub names: Vec<String>,
    /// Whole references with a digest.
    pub digests: Vec<String>,
    /// Names of its layers' folders, lowest first.
    pub layers: Vec<String>,
    /// What they take.
    pub bytes: u64,
    /// The configuration, byte for byte.
    pub config: String,
    /// Whether it came by an archive, if only once.
    #[serde(default)]
    pub loaded: bool,
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    config: Option<Inner>,
    rootfs: RootFs,
}

#[derive(Debug, Default, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Inner {
    user: Option<String>,
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    stop_signal: Option<String>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    labels: Option<BTreeMap<String, String>>,
}

/// The digests of the unpacked layers that a configuration names, lowest first.
pub(super) fn diff_ids(config: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    Ok(serde_json::from_slice::<Config>(config)?.rootfs.diff_ids)
}

fn read_config(config: &str) -> ImageConfig {
    let inner = serde_json::from_str::<Config>(config).unwrap_or_default().config.unwrap_or_default();
    ImageConfig {
        user: inner.user.unwrap_or_default(),
        env: inner.env.unwrap_or_default(),
        entrypoint: inner.entrypoint.unwrap_or_default(),
        command: inner.cmd.unwrap_or_default(),
        working_dir: inner.working_dir.unwrap_or_default(),
        stop_signal: inner.stop_signal.filter(|signal| !signal.is_empty()),
        volumes: inner.volumes.unwrap_or_default().into_keys().collect(),
        ports: inner.exposed_ports.unwrap_or_default().into_keys().collect(),
        labels: inner.labels.unwrap_or_default(),
    }
}

impl Record {
    /// The image, as others see it.
    pub fn image(&self, root: &Path) -> Image {
        Image {
            id: self.id.clone(),
            names: self.names.clone(),
            digests: self.digests.clone(),
            bytes: self.bytes,
            config: read_config(&self.config),
            layers: self.layers.iter().map(|name| root.join("layers").join(name)).collect(),
            loaded: self.loaded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read_whatever_is_left_out() {
        let text = r#"{"config":{"User":"app","Env":["A=b"],"Cmd":["x"],"Entrypoint":null,"Volumes":{"/data":{}},"ExposedPorts":{"80/tcp":{}},"StopSignal":""},
            "rootfs":{"type":"layers","diff_ids":["sha256:1"]}}"#;
        let config = read_config(text);
        assert_eq!((config.user.as_str(), config.command.as_slice(), config.stop_signal), ("app", &["x".to_owned()][..], None));
        assert_eq!((config.volumes, config.ports), (vec!["/data".to_owned()], vec!["80/tcp".to_owned()]));
        assert_eq!(diff_ids(text.as_bytes()).expect("read"), ["sha256:1"]);
        assert_eq!(read_config(r#"{"rootfs":{}}"#), ImageConfig::default());
    }
}
