//! Images from registries. A registry on loopback is spoken to over plain HTTP.

use std::{fs::File, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _};
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    manifest::OciDescriptor,
    secrets::RegistryAuth,
};

use super::{Credentials, Image, ImageError, ImageStore, archive::Found, record, reference};

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
    let fetch = Arc::new((client, reference, store.clone(), text.to_owned()));
    let layers = diff_ids.into_iter().zip(manifest.layers);
    let layers = futures::stream::iter(layers).map(|(diff_id, descriptor)| add(Arc::clone(&fetch), diff_id, descriptor));
    let layers: Vec<_> = layers.buffered(FETCHES_MAX).try_collect().await?;
    let found = Found { config: config.into_bytes(), layers: Vec::new(), names: vec![text.to_owned()], manifest: Some(digest) };
    let image = store.blocking(move |store| store.commit(found, layers)).await;
    drop(held);
    image
}

/// Fetches a layer unless it is here.
async fn add(
    fetch: Arc<(Client, Reference, ImageStore, String)>,
    diff_id: String,
    descriptor: OciDescriptor,
) -> Result<(String, u64), ImageError> {
    let (client, reference, store, text) = &*fetch;
    if let Some(known) = store.known_layer(&diff_id)? {
        return Ok(known);
    }
    let file = store.used(tempfile::tempfile_in(store.scratch()))?;
    let mut to = tokio::fs::File::from_std(store.used(file.try_clone())?);
    let failed = |source| ImageError::Pull { reference: text.clone(), source: Box::new(source) };
    client.pull_blob(reference, &descriptor, &mut to).await.map_err(failed)?;
    store.used(tokio::io::AsyncWriteExt::flush(&mut to).await)?;
    drop(to);
    store.blocking(move |store| store.add_layer(&diff_id, Some(&descriptor.digest), || rewound(store, file))).await
}

fn rewound(store: &ImageStore, mut file: File) -> Result<File, ImageError> {
    store.used(std::io::Seek::rewind(&mut file))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_by_name_and_number() {
        for registry in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"] {
            assert!(is_loopback(registry), "{registry}");
        }
        assert!(!is_loopback("registry.example:5000") && !is_loopback("10.0.0.1"));
    }
}
