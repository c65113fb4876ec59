//! Charts in OCI registries: references, media types and annotations as Helm has them, on an ordinary registry client.

use std::collections::BTreeMap;

use chart::chart::Metadata;
use chart::semver::{Constraint, Version};
use futures::StreamExt as _;
use http::HeaderValue;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::fetch::{Access, FILE_BYTES_MAX};
use super::flags::Matches;
use super::{Fault, credentials};
use crate::output;

const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const ARCHIVE: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
const OLD_ARCHIVE: &str = "application/tar+gzip";
const PROOF: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Pages of tags that are asked for before a registry is given up.
const PAGES_MAX: usize = 100;
const TAGS_A_PAGE: usize = 1000;

/// Behind a reference with an underscore.
const UNDERSCORE: &str = "
OCI artifact references (e.g. tags) do not support the plus sign (+). To support
storing semantic versions, Helm adopts the convention of changing plus (+) to
an underscore (_) in chart version tags when pushing to a registry and back to
a plus (+) when pulling from a registry.";

/// A reference, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Place {
    registry: String,
    repository: String,
    tag: String,
    digest: String,
}

impl Place {
    pub(super) fn parse(raw: &str) -> Result<Self, Fault> {
        let raw = raw.strip_prefix("oci://").unwrap_or(raw);
        let (rest, digest) = raw.rsplit_once('@').unwrap_or((raw, ""));
        let (rest, tag) = match rest.rsplit_once(':') {
            Some((rest, tag)) if !tag.contains('/') => (rest, tag.replace('+', "_")),
            _ => (rest, String::new()),
        };
        let (registry, repository) =
            rest.split_once('/').ok_or_else(|| Fault::new("invalid reference: missing registry or repository"))?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        if repository.is_empty() || !repository.chars().all(plain) {
            return Err(Fault::new(format!("invalid reference: invalid repository {repository:?}")));
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), tag, digest: digest.to_owned() })
    }

    fn reference(&self) -> Reference {
        let (registry, repository) = (self.registry.clone(), self.repository.clone());
        match (self.tag.as_str(), self.digest.as_str()) {
            (_, digest) if !digest.is_empty() => Reference::with_digest(registry, repository, digest.to_owned()),
            ("", _) => Reference::with_tag(registry, repository, "latest".to_owned()),
            (tag, _) => Reference::with_tag(registry, repository, tag.to_owned()),
        }
    }

    fn shown(&self) -> String {
        let name = format!("{}/{}", self.registry, self.repository);
        if self.tag.is_empty() { format!("{name}@{}", self.digest) } else { format!("{name}:{}", self.tag) }
    }
}

/// A registry that is spoken to.
struct Session {
    client: Client,
    auth: RegistryAuth,
    runtime: tokio::runtime::Runtime,
}

impl Session {
    fn new(matches: &Matches, registry: &str, access: &Access) -> Result<Self, Fault> {
        let auth = match (access.username.as_str(), access.password.as_str()) {
            ("", _) | (_, "") => credentials::of(matches, registry)?,
            (name, password) => RegistryAuth::Basic(name.to_owned(), password.to_owned()),
        };
        Self::with(access, auth)
    }

    fn with(access: &Access, auth: RegistryAuth) -> Result<Self, Fault> {
        let mut config = ClientConfig {
            protocol: if access.plain_http { ClientProtocol::Http } else { ClientProtocol::Https },
            accept_invalid_certificates: access.insecure,
            user_agent: concat!("Helm/4 coracle/", env!("CARGO_PKG_VERSION")),
            use_monolithic_push: true,
            ..ClientConfig::default()
        };
        if !access.ca_file.is_empty() {
            let data = std::fs::read(&access.ca_file).map_err(|error| {
                let why = super::chart_files::go_error("open", std::path::Path::new(&access.ca_file), &error);
                Fault::new(format!("can't create TLS config for client: can't read CA file: {:?}: {why}", access.ca_file))
            })?;
            let roots = CertificateDer::pem_slice_iter(&data).flatten();
            let root = |root: CertificateDer<'_>| Certificate { encoding: CertificateEncoding::Der, data: root.to_vec() };
            config.tls_certs_only = roots.map(root).collect();
            if config.tls_certs_only.is_empty() {
                let why = "failed to append certificates from pem block";
                return Err(Fault::new(format!("can't create TLS config for client: {why}")));
            }
        }
        if !access.cert_file.is_empty() {
            return Err(Fault::new("registries are not spoken to with client certificates"));
        }
        let client = Client::try_from(config)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { client, auth, runtime })
    }
}

/// Checks a name and a password at a registry.
pub(super) fn login(registry: &str, access: &Access) -> Result<(), Fault> {
    let auth = RegistryAuth::Basic(access.username.clone(), access.password.clone());
    let session = Session::with(access, auth)?;
    let failed = |why: String| Fault::new(format!("authenticating to {registry:?}: {why}"));
    let scheme = if access.plain_http { "http" } else { "https" };
    // A client without a repository has nothing to ask for; registries answer at their root, too.
    let root = format!("{scheme}://{registry}/v2/");
    let probe = Reference::with_tag(registry.to_owned(), "probe".to_owned(), "latest".to_owned());
    let token = session.runtime.block_on(session.client.auth(&probe, &session.auth, RegistryOperation::Pull));
    match token.map_err(|error| failed(error.to_string()))? {
        Some(_) => Ok(()),
        None => super::fetch::get(&root, &Access { owner: root.clone(), ..access.clone() }, "", FILE_BYTES_MAX)
            .map(|_| ())
            .map_err(|fault| failed(fault.text)),
    }
}

/// The address of the version that is asked for, tag or digest included.
pub(super) fn resolve(matches: &Matches, reference: &str, version: &str, access: &Access) -> Result<String, Fault> {
    let place = Place::parse(reference)?;
    let wanted = if version.is_empty() { place.tag.replace('_', "+") } else { version.to_owned() };
    if !version.is_empty() && !place.tag.is_empty() && place.tag != version.replace('+', "_") {
        return Err(Fault::new(format!("chart reference and version mismatch: {version} is not {}", place.tag)));
    }
    if !place.digest.is_empty() {
        return Ok(format!("oci://{}/{}@{}", place.registry, place.repository, place.digest));
    }
    if !wanted.is_empty() && Version::parse(&wanted).is_ok() {
        return Ok(format!("oci://{}/{}:{wanted}", place.registry, place.repository));
    }
    let tags = tags(matches, reference, access)?;
    if tags.is_empty() {
        return Err(Fault::new(format!("unable to locate any tags in provided repository: {reference}")));
    }
    let constraint = Constraint::parse(if wanted.is_empty() { "*" } else { &wanted })?;
    let suits = |tag: &&String| Version::parse(tag).is_ok_and(|version| constraint.check(&version));
    let tag = tags.iter().find(|tag| **tag == wanted).or_else(|| tags.iter().find(suits));
    let tag = tag.ok_or_else(|| Fault::new(format!("could not locate a version matching provided version string {wanted}")))?;
    Ok(format!("oci://{}/{}:{tag}", place.registry, place.repository))
}

/// The versions in a repository, the newest first.
pub(super) fn tags(matches: &Matches, reference: &str, access: &Access) -> Result<Vec<String>, Fault> {
    let place = Place::parse(reference)?;
    let session = Session::new(matches, &place.registry, access)?;
    let image = Place { tag: String::new(), digest: String::new(), ..place }.reference();
    let mut versions = Vec::new();
    let mut last: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let page = session.client.list_tags(&image, &session.auth, Some(TAGS_A_PAGE), last.as_deref());
        let tags = session.runtime.block_on(page)?.tags;
        let full = tags.len() >= TAGS_A_PAGE;
        last = tags.last().cloned();
        versions.extend(tags.iter().filter_map(|tag| strict(&tag.replace('_', "+"))));
        if !full {
            break;
        }
    }
    versions.sort_by(|a, b| b.precedence(a));
    Ok(versions.iter().map(ToString::to_string).collect())
}

/// A version of all three numbers.
fn strict(text: &str) -> Option<Version> {
    let version = Version::parse(text).ok()?;
    (version.to_string() == text).then_some(version)
}

#[derive(Deserialize)]
struct Manifest {
    config: OciDescriptor,
    #[serde(default)]
    layers: Vec<OciDescriptor>,
}

/// A part of what an address holds, with what has to be told of it.
pub(super) fn pull(matches: &Matches, address: &str, access: &Access, proof: bool) -> Result<Vec<u8>, Fault> {
    let place = Place::parse(address)?;
    let session = Session::new(matches, &place.registry, access)?;
    let image = place.reference();
    let request = session.client.pull_manifest_raw(&image, &session.auth, &[MANIFEST]);
    let (bytes, _) = session.runtime.block_on(request).map_err(|error| unfound(error, &place))?;
    let manifest: Manifest = serde_json::from_slice(&bytes)?;
    let found = 1 + manifest.layers.len();
    if found < 2 {
        let text = format!("manifest does not contain minimum number of descriptors (2), descriptors found: {found}");
        return Err(Fault::new(text));
    }
    if manifest.config.media_type != CONFIG {
        return Err(Fault::new(format!("could not load config with mediatype {CONFIG}")));
    }
    let wanted = if proof { PROOF } else { ARCHIVE };
    let fits = |layer: &&OciDescriptor| layer.media_type == wanted || (!proof && layer.media_type == OLD_ARCHIVE);
    let layer = manifest.layers.iter().rfind(fits);
    let layer = layer.ok_or_else(|| Fault::new(format!("manifest does not contain a layer with mediatype {wanted}")))?;
    if layer.media_type == OLD_ARCHIVE {
        output::line(&format!("Warning: chart media type {OLD_ARCHIVE} is deprecated"));
    }
    let data = session.runtime.block_on(blob(&session.client, &image, layer))?;
    told(matches, "Pulled", &place, &bytes);
    Ok(data)
}

/// What is not there is told in Helm's words.
fn unfound(error: OciDistributionError, place: &Place) -> Fault {
    let gone = match &error {
        OciDistributionError::ImageManifestNotFoundError(_) => true,
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().all(|error| error.code == OciErrorCode::ManifestUnknown)
        }
        _ => false,
    };
    if !gone {
        return error.into();
    }
    Fault::new(format!("failed to perform \"FetchReference\" on source: {}: not found", place.shown()))
}

async fn blob(client: &Client, image: &Reference, layer: &OciDescriptor) -> Result<Vec<u8>, Fault> {
    let too_large = || Fault::new(format!("{} is larger than {FILE_BYTES_MAX} bytes", layer.digest));
    if usize::try_from(layer.size).map_or(true, |size| size > FILE_BYTES_MAX) {
        return Err(too_large());
    }
    let mut stream = client.pull_blob_stream(image, layer).await?;
    let mut data = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if data.len() + chunk.len() > FILE_BYTES_MAX {
            return Err(too_large());
        }
        data.extend_from_slice(&chunk);
    }
    let found = format!("sha256:{}", hex::encode(Sha256::digest(&data)));
    if found != layer.digest {
        return Err(Fault::new(format!("a blob has the digest {found}, its manifest says {}", layer.digest)));
    }
    Ok(data)
}

/// Tells of it; beside the result where that is the chart itself.
fn told(matches: &Matches, what: &str, place: &Place, manifest: &[u8]) {
    let aside = matches.knows("output-dir") || matches.knows("jsonpath");
    let say = if aside { output::remark } else { output::line };
    let shown = place.shown();
    say(&format!("{what}: {shown}"));
    say(&format!("Digest: sha256:{}", hex::encode(Sha256::digest(manifest))));
    if shown.contains('_') {
        say(&format!("{shown} contains an underscore."));
        say(UNDERSCORE);
    }
}

/// What is pushed.
pub(super) struct Parcel<'p> {
    pub(super) metadata: &'p Metadata,
    pub(super) archive: Vec<u8>,
    pub(super) proof: Option<Vec<u8>>,
    /// When the archive was made, as RFC 3339.
    pub(super) created: String,
}

/// Brings a chart into a registry, below `remote`.
pub(super) fn push(matches: &Matches, remote: &str, parcel: Parcel<'_>, access: &Access) -> Result<(), Fault> {
    let base = remote.strip_prefix("oci://").unwrap_or(remote).trim_end_matches('/');
    let place = Place::parse(&format!("{base}/{}:{}", parcel.metadata.name, parcel.metadata.version))?;
    let session = Session::new(matches, &place.registry, access)?;
    let image = place.reference();
    let described = |media_type: &str, data: &[u8]| {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(data)));
        json!({"mediaType": media_type, "digest": digest, "size": data.len()})
    };
    let config = escaped(&serde_json::to_string(parcel.metadata)?).into_bytes();
    let mut layers = vec![(described(ARCHIVE, &parcel.archive), parcel.archive)];
    layers.extend(parcel.proof.map(|proof| (described(PROOF, &proof), proof)));
    layers.sort_by_key(|(descriptor, _)| descriptor["digest"].to_string());
    let manifest = json!({
        "schemaVersion": 2,
        "config": described(CONFIG, &config),
        "layers": layers.iter().map(|(descriptor, _)| descriptor).collect::<Vec<_>>(),
        "annotations": annotations(parcel.metadata, &parcel.created),
    });
    let manifest = escaped(&manifest.to_string()).into_bytes();
    let config = (described(CONFIG, &config), config);
    session.runtime.block_on(async {
        session.client.auth(&image, &session.auth, RegistryOperation::Push).await?;
        for (descriptor, data) in layers.into_iter().chain([config]) {
            let digest = descriptor["digest"].as_str().unwrap_or_default();
            if !session.client.blob_exists(&image, digest).await.unwrap_or(false) {
                session.client.push_blob(&image, data, digest).await?;
            }
        }
        session.client.push_manifest_raw(&image, manifest.clone(), HeaderValue::from_static(MANIFEST)).await
    })?;
    told(matches, "Pushed", &place, &manifest);
    Ok(())
}

/// Go's JSON escapes what HTML would take as its own.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// What a registry's users see of a chart; the chart's own annotations win, but for its name and version.
fn annotations(metadata: &Metadata, created: &str) -> BTreeMap<String, Json> {
    let mut found = BTreeMap::new();
    let mut authors = String::new();
    for (at, maintainer) in metadata.maintainers.iter().enumerate() {
        authors.push_str(&maintainer.name);
        if !maintainer.email.is_empty() {
            authors.push_str(&format!(" ({})", maintainer.email));
        }
        if at + 1 < metadata.maintainers.len() {
            authors.push_str(", ");
        }
    }
    let facts = [
        ("description", metadata.description.as_str()),
        ("title", &metadata.name),
        ("version", &metadata.version),
        ("url", &metadata.home),
        ("created", created),
        ("source", metadata.sources.first().map_or("", String::as_str)),
        ("authors", &authors),
    ];
    for (name, value) in facts.into_iter().filter(|(_, value)| !value.trim().is_empty()) {
        found.insert(format!("org.opencontainers.image.{name}"), Json::from(value));
    }
    let fixed = ["org.opencontainers.image.title", "org.opencontainers.image.version"];
    for (name, value) in metadata.annotations.iter().filter(|(name, _)| !fixed.contains(&name.as_str())) {
        found.insert(name.clone(), Json::from(value.as_str()));
    }
    found
}
