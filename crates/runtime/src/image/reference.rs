//! Names of images: however short, one whole form of each.

use oci_client::Reference;

use super::ImageError;

/// A reference in its whole form, as `docker.io/library/redis:latest`. One with a digest is without a tag.
pub fn normalise(reference: &str) -> Result<String, ImageError> {
    let parsed = parse(reference)?;
    let place = format!("{}/{}", parsed.registry(), parsed.repository());
    Ok(match (parsed.digest(), parsed.tag()) {
        (Some(digest), _) => format!("{place}@{digest}"),
        (None, tag) => format!("{place}:{}", tag.unwrap_or("latest")),
    })
}

/// A parsed reference.
pub(super) fn parse(reference: &str) -> Result<Reference, ImageError> {
    reference.parse().map_err(|_| ImageError::ParseReference(reference.to_owned()))
}

/// A name with the digest of a manifest instead of its tag.
pub(super) fn with_digest(name: &str, digest: &str) -> Option<String> {
    let parsed = parse(name).ok()?;
    Some(format!("{}/{}@{digest}", parsed.registry(), parsed.repository()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_name_is_one_name() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (short, whole) in [
            ("redis", "docker.io/library/redis:latest".to_owned()),
            ("redis:8", "docker.io/library/redis:8".to_owned()),
            ("docker.io/redis:8", "docker.io/library/redis:8".to_owned()),
            ("grafana/grafana", "docker.io/grafana/grafana:latest".to_owned()),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10".to_owned()),
            ("localhost/app", "localhost/app:latest".to_owned()),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c".to_owned()),
            (&format!("redis:8@{digest}"), format!("docker.io/library/redis@{digest}")),
        ] {
            assert_eq!(normalise(short).expect("a reference"), whole);
        }
        assert!(normalise("Not A Name").is_err());
        assert_eq!(with_digest("redis:8", &digest), Some(format!("docker.io/library/redis@{digest}")));
    }
}
