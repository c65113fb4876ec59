//! What stands in the volumes that are made of objects: config maps, secrets, facts of the pod, tokens, and all of these together.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    ClusterTrustBundleProjection, ConfigMapProjection, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath, Pod,
    PodCertificateProjection, SecretProjection, ServiceAccountTokenProjection, Volume, VolumeProjection,
};

use super::atomic::{File, Payload, is_safe};
use super::{Volumes, trust};
use crate::pod::container::fields;
use crate::site::{Found, Held, Site};

const FILE_MODE: i32 = 0o644;

/// Makes payloads, and remembers what they were made of.
pub(crate) struct Maker<'a> {
    pub(crate) site: &'a Arc<Site>,
    pub(crate) pod: &'a Arc<Pod>,
    pub(crate) volumes: &'a Volumes,
    /// The objects that were read; they stay watched while they are held.
    pub(crate) held: Vec<Held>,
    /// When a token in a payload is to be renewed.
    pub(crate) renew_at: Option<jiff::Timestamp>,
}

/// Whether a volume is made of objects, and so is written and rewritten by us.
pub(crate) fn is_written(volume: &Volume) -> bool {
    volume.config_map.is_some() || volume.secret.is_some() || volume.downward_api.is_some() || volume.projected.is_some()
}

impl Maker<'_> {
    fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The files of a volume.
    pub(crate) async fn payload(&mut self, volume: &Volume) -> Result<Payload, String> {
        let mut files = Payload::new();
        if let Some(source) = &volume.config_map {
            let one = ConfigMapProjection { name: source.name.clone(), items: source.items.clone(), optional: source.optional };
            self.config_map(&one, source.default_mode, &mut files).await?;
        } else if let Some(source) = &volume.secret {
            let one = SecretProjection {
                name: source.secret_name.clone().unwrap_or_default(),
                items: source.items.clone(),
                optional: source.optional,
            };
            self.secret(&one, source.default_mode, &mut files).await?;
        } else if let Some(source) = &volume.downward_api {
            let one = DownwardAPIProjection { items: source.items.clone() };
            self.downward(&one, source.default_mode, &mut files)?;
        } else if let Some(source) = &volume.projected {
            for (at, one) in source.sources.iter().flatten().enumerate() {
                self.projection(one, source.default_mode, &mut files).await?;
                if let Some(certificate) = &one.pod_certificate {
                    self.certificate((&volume.name, at), certificate, source.default_mode, &mut files).await?;
                }
            }
        }
        Ok(files)
    }

    async fn projection(&mut self, one: &VolumeProjection, mode: Option<i32>, files: &mut Payload) -> Result<(), String> {
        if let Some(source) = &one.config_map {
            self.config_map(source, mode, files).await?;
        }
        if let Some(source) = &one.secret {
            self.secret(source, mode, files).await?;
        }
        if let Some(source) = &one.downward_api {
            self.downward(source, mode, files)?;
        }
        if let Some(source) = &one.service_account_token {
            self.token(source, mode, files).await?;
        }
        if let Some(source) = &one.cluster_trust_bundle {
            self.bundle(source, mode, files).await?;
        }
        Ok(())
    }

    async fn bundle(
        &mut self,
        source: &ClusterTrustBundleProjection,
        mode: Option<i32>,
        files: &mut Payload,
    ) -> Result<(), String> {
        let cache = self.site.objects.bundles().await;
        let text = trust::anchors(&cache, source)?;
        self.held.push(Held::Bundles(cache));
        let (mode, owner) = self.private(mode);
        put(files, &source.path, text.into_bytes(), mode, owner)
    }

    async fn certificate(
        &mut self,
        place: (&str, usize),
        source: &PodCertificateProjection,
        mode: Option<i32>,
        files: &mut Payload,
    ) -> Result<(), String> {
        let Volumes { certificates, changed, .. } = self.volumes;
        let found = certificates.get(self.site, self.pod, changed, place, source).await?;
        let (mode, owner) = self.private(mode);
        let whole = format!("{}{}", found.key, found.chain);
        let parts = [
            (&source.credential_bundle_path, whole),
            (&source.key_path, found.key),
            (&source.certificate_chain_path, found.chain),
        ];
        for (path, text) in parts {
            if let Some(path) = path.as_deref().filter(|path| !path.is_empty()) {
                put(files, path, text.into_bytes(), mode, owner)?;
            }
        }
        Ok(())
    }

    /// Mode and owner of a file that is for the pod's user alone, where there is one.
    fn private(&self, mode: Option<i32>) -> (i32, Option<u32>) {
        let (user, group) = (single_user(self.pod), fs_group(self.pod));
        let mode = if user.is_some() || group.is_some() { 0o600 } else { mode.unwrap_or(FILE_MODE) };
        (mode, user)
    }

    async fn config_map(&mut self, source: &ConfigMapProjection, mode: Option<i32>, files: &mut Payload) -> Result<(), String> {
        let held = self.site.objects.config_map(self.namespace(), &source.name).await;
        let found = held.get();
        self.held.push(held);
        let missing = format!("configmap \"{}\" not found", source.name);
        let found = present(found, source.optional, missing)?;
        let wanting = Wanting { kind: "config", optional: source.optional == Some(true), mode: mode.unwrap_or(FILE_MODE) };
        keys(&found, source.items.as_deref(), &wanting, files)
    }

    async fn secret(&mut self, source: &SecretProjection, mode: Option<i32>, files: &mut Payload) -> Result<(), String> {
        let held = self.site.objects.secret(self.namespace(), &source.name).await;
        let found = held.get();
        self.held.push(held);
        let missing = format!("secret \"{}\" not found", source.name);
        let found = present(found, source.optional, missing)?;
        let wanting = Wanting { kind: "secret", optional: source.optional == Some(true), mode: mode.unwrap_or(FILE_MODE) };
        keys(&found, source.items.as_deref(), &wanting, files)
    }

    fn downward(&self, source: &DownwardAPIProjection, mode: Option<i32>, files: &mut Payload) -> Result<(), String> {
        for item in source.items.iter().flatten() {
            let text = self.downward_text(item)?;
            let mode = item.mode.or(mode).unwrap_or(FILE_MODE);
            put(files, &item.path, text.into_bytes(), mode, None)?;
        }
        Ok(())
    }

    fn downward_text(&self, item: &DownwardAPIVolumeFile) -> Result<String, String> {
        if let Some(field) = &item.field_ref {
            return fields::of_pod(self.site, self.pod, &field.field_path);
        }
        let resource = item.resource_field_ref.as_ref().ok_or("an item names neither a field nor a resource")?;
        fields::of_resources(self.site, self.pod, resource, None)
    }

    async fn token(
        &mut self,
        source: &ServiceAccountTokenProjection,
        mode: Option<i32>,
        files: &mut Payload,
    ) -> Result<(), String> {
        let token = self.volumes.tokens.get(self.site, self.pod, source).await?;
        self.renew_at = [self.renew_at, Some(token.renew_at)].into_iter().flatten().min();
        let (mode, user) = self.private(mode);
        put(files, &source.path, token.text.into_bytes(), mode, user)
    }
}

/// The group that owns the volumes of a pod.
pub(crate) fn fs_group(pod: &Pod) -> Option<u32> {
    let group = pod.spec.as_ref()?.security_context.as_ref()?.fs_group?;
    u32::try_from(group).ok()
}

/// The one user as whom all containers run, if the spec says so.
fn single_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let of_pod = spec.security_context.as_ref().and_then(|context| context.run_as_user);
    let mut all = spec.init_containers.iter().flatten().chain(&spec.containers).map(|container| {
        let own = container.security_context.as_ref().and_then(|context| context.run_as_user);
        own.or(of_pod)
    });
    let first = all.next().flatten()?;
    all.all(|user| user == Some(first)).then(|| u32::try_from(first).ok()).flatten()
}

fn present(found: Option<Found>, optional: Option<bool>, missing: String) -> Result<Found, String> {
    match found {
        Some(found) => Ok(found),
        None if optional == Some(true) => Ok(Found::default()),
        None => Err(missing),
    }
}

struct Wanting {
    kind: &'static str,
    optional: bool,
    mode: i32,
}

fn keys(found: &Found, items: Option<&[KeyToPath]>, wanting: &Wanting, files: &mut Payload) -> Result<(), String> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        for (key, bytes) in &found.data {
            put(files, key, bytes.clone(), wanting.mode, None)?;
        }
        return Ok(());
    };
    for item in items {
        match found.data.get(&item.key) {
            Some(bytes) => put(files, &item.path, bytes.clone(), item.mode.unwrap_or(wanting.mode), None)?,
            None if wanting.optional => {}
            None => return Err(format!("references non-existent {} key: {}", wanting.kind, item.key)),
        }
    }
    Ok(())
}

fn put(files: &mut Payload, path: &str, bytes: Vec<u8>, mode: i32, owner: Option<u32>) -> Result<(), String> {
    if !is_safe(path) {
        return Err(format!("invalid path: must be relative and not contain '..': {path}"));
    }
    files.insert(path.to_owned(), File { bytes, mode: u32::try_from(mode).unwrap_or(0o644), owner });
    Ok(())
}
