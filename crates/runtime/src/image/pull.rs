//! Images from registries. A registry on loopback is spoken to over plain HTTP.

use std::fs::File;

use futures::{StreamExt as _, TryStreamExt as _};
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    manifest::OciDescriptor,
    secrets::RegistryAuth,
};

use super::{Credentials, Image, ImageError, ImageStore, archive::Found, record, reference, store::Named};

/// So many layers are fetched together.
const FETCHES_MAX: usize = 3;

fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// See [`ImageStore::pull`].
pub(super) async fn pull(store: &ImageStore, text: &str, credentials: Option<Credentials>) -> Result<Image, ImageError> {
    let reference = reference::parse(text)?;
    let failed = |source| ImageError::Pull { reference: text.to_owned(), source: Box::new(source) };
    let auth = match credentials {
        None => RegistryAuth::Anonymous,
        Some(Credentials::Basic { username, password }) => RegistryAuth::Basic(username, password),
        Some(Credentials::Bearer(token)) => RegistryAuth::Bearer(token),
    };
    let protocol = if is_loopback(reference.registry()) { ClientProtocol::Http } else { ClientProtocol::Https };
    let client = Client::new(ClientConfig { protocol, ..ClientConfig::default() });
    let held = store.blocking(ImageStore::hold_for_adding).await?;
    let (manifest, digest, config) = client.pull_manifest_and_config(&reference, &auth).await.map_err(failed)?;
    let diff_ids = record::diff_ids(config.as_bytes()).unwrap_or_default();
    if diff_ids.len() != manifest.layers.len() {
        return Err(ImageError::CheckDigest {
            what: "the number of layers".to_owned(),
            expected: diff_ids.len().to_string(),
            found: manifest.layers.len().to_string(),
        });
    }
    let fetch = Fetch { client, reference, store: store.clone(), text: text.to_owned() };
    let wanted = futures::stream::iter(diff_ids.into_iter().zip(manifest.layers));
    let fetched = wanted.map(|(diff_id, descriptor)| fetch.unless_here(diff_id, descriptor));
    let mut fetched = std::pin::pin!(fetched.buffered(FETCHES_MAX));
    // Several are fetched together, but each is unpacked above those below it.
    let mut layers = Vec::new();
    while let Some((diff_id, descriptor, file)) = fetched.try_next().await? {
        layers.push(fetch.add(&diff_id, &descriptor, file, layers.clone()).await?);
    }
    let found = Found { config: config.into_bytes(), layers: Vec::new(), names: vec![text.to_owned()], manifest: Some(digest) };
    let image = store.blocking(move |store| store.commit(found, layers, false)).await;
    drop(held);
    image
}

struct Fetch {
    client: Client,
    reference: Reference,
    store: ImageStore,
    text: String,
}

impl Fetch {
    async fn unless_here(
        &self,
        diff_id: String,
        descriptor: OciDescriptor,
    ) -> Result<(String, OciDescriptor, Option<File>), ImageError> {
        let file = if self.store.has_layer(&diff_id)? { None } else { Some(self.blob(&descriptor).await?) };
        Ok((diff_id, descriptor, file))
    }

    /// A nameless file with the bytes of a layer, to be read from its beginning.
    async fn blob(&self, descriptor: &OciDescriptor) -> Result<File, ImageError> {
        let store = &self.store;
        let mut file = store.used(tempfile::tempfile_in(store.scratch()))?;
        let mut to = tokio::fs::File::from_std(store.used(file.try_clone())?);
        let failed = |source| ImageError::Pull { reference: self.text.clone(), source: Box::new(source) };
        self.client.pull_blob(&self.reference, descriptor, &mut to).await.map_err(failed)?;
        store.used(tokio::io::AsyncWriteExt::flush(&mut to).await)?;
        store.used(std::io::Seek::rewind(&mut file))?;
        Ok(file)
    }

    /// Adds a layer above others. One that is here may not fit above these, and is fetched then.
    async fn add(
        &self,
        diff_id: &str,
        descriptor: &OciDescriptor,
        file: Option<File>,
        below: Vec<Named>,
    ) -> Result<Named, ImageError> {
        if let Some(known) = self.store.known_layer(diff_id, &below)? {
            return Ok(known);
        }
        let file = match file {
            Some(file) => file,
            None => self.blob(descriptor).await?,
        };
        let (diff_id, digest) = (diff_id.to_owned(), descriptor.digest.clone());
        self.store.blocking(move |store| store.add_layer(&diff_id, Some(&digest), &below, file)).await
    }
}

#[cfg(test)]
mod tests;
