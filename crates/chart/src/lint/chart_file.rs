//! The rules for `Chart.yaml`. It never looks at other files.

use serde_json::Value as Json;

use super::{Linter, Severity, Subject, file};
use crate::chart::Metadata;
use crate::semver::{Constraint, Version};
use crate::yaml;

const NAME: &str = "Chart.yaml";

pub(super) fn lint(linter: &mut Linter, subject: &Subject<'_>) {
    let Some(text) = file(subject, NAME).map(|file| file.data.as_slice()) else { return };
    let metadata = match Metadata::parse(text) {
        Ok(metadata) => metadata,
        Err(error) => {
            linter.rule(Severity::Error, NAME, Err(format!("unable to parse YAML\n\t{error}")));
            return;
        }
    };
    linter.rule(Severity::Warning, NAME, strict(text));
    linter.rule(Severity::Error, NAME, name(&metadata));
    linter.rule(Severity::Error, NAME, api_version(&metadata));
    linter.rule(Severity::Error, NAME, is_text(text, "version"));
    linter.rule(Severity::Error, NAME, version(&metadata));
    linter.rule(Severity::Error, NAME, is_text(text, "appVersion"));
    linter.rule(Severity::Error, NAME, maintainers(&metadata));
    linter.rule(Severity::Error, NAME, sources(&metadata));
    let icon = if metadata.icon.is_empty() { Err("icon is recommended".to_owned()) } else { Ok(()) };
    linter.rule(Severity::Info, NAME, icon);
    let address = metadata.icon.is_empty() || is_address(&metadata.icon);
    linter.rule(Severity::Error, NAME, check(address, || format!("invalid icon URL '{}'", metadata.icon)));
    let is_v2 = metadata.api_version == "v2";
    linter.rule(
        Severity::Error,
        NAME,
        check(is_v2 || metadata.kind.is_empty(), || {
            format!("chart type is not valid in apiVersion '{}'. It is valid in apiVersion 'v2'", metadata.api_version)
        }),
    );
    linter.rule(
        Severity::Error,
        NAME,
        check(is_v2 || metadata.dependencies.is_empty(), || {
            let version = &metadata.api_version;
            format!("dependencies are not valid in the Chart file with apiVersion '{version}'. They are valid in apiVersion 'v2'")
        }),
    );
    linter.rule(
        Severity::Warning,
        NAME,
        check(is_strict(&metadata.version), || format!("version '{}' is not a valid SemVerV2", metadata.version)),
    );
}

fn check(right: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if right { Ok(()) } else { Err(text()) }
}

fn strict(text: &[u8]) -> Result<(), String> {
    let failed = |error: String| format!("failed to strictly parse chart metadata file\n\t{error}");
    let value = yaml::read_strict(text).map_err(|error| failed(error.to_string()))?;
    let unknown = value.as_object().into_iter().flat_map(|map| map.keys()).find(|key| !Metadata::FIELDS.contains(&key.as_str()));
    unknown
        .map_or(Ok(()), |key| Err(failed(format!("error unmarshaling JSON: while decoding JSON: json: unknown field {key:?}"))))
}

fn name(metadata: &Metadata) -> Result<(), String> {
    if metadata.name.is_empty() {
        return Err("name is required".to_owned());
    }
    check(!metadata.name.contains('/'), || format!("chart name {:?} is invalid", metadata.name))
}

fn api_version(metadata: &Metadata) -> Result<(), String> {
    match metadata.api_version.as_str() {
        "" => Err("apiVersion is required. The value must be either \"v1\" or \"v2\"".to_owned()),
        "v1" | "v2" => Ok(()),
        other => Err(format!("apiVersion '{other}' is not valid. The value must be either \"v1\" or \"v2\"")),
    }
}

fn is_text(text: &[u8], key: &str) -> Result<(), String> {
    let value = yaml::read(text).unwrap_or_default();
    let kind = match value.get(key) {
        None | Some(Json::String(_)) => return Ok(()),
        Some(Json::Null) => "<nil>",
        Some(Json::Bool(_)) => "bool",
        Some(Json::Number(_)) => "float64",
        Some(Json::Array(_)) => "[]interface {}",
        Some(Json::Object(_)) => "map[string]interface {}",
    };
    Err(format!("{key} should be of type string but it's of type {kind}"))
}

fn version(metadata: &Metadata) -> Result<(), String> {
    if metadata.version.is_empty() {
        return Err("version is required".to_owned());
    }
    let version =
        Version::parse(&metadata.version).map_err(|_| format!("version '{}' is not a valid SemVer", metadata.version))?;
    let above = Constraint::parse(">0.0.0-0").is_ok_and(|constraint| constraint.check(&version));
    check(above, || format!("version {} is less than or equal to 0.0.0-0", metadata.version))
}

fn is_strict(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let number =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part.len() == 1 || !part.starts_with('0'));
    core.split('.').count() == 3 && core.split('.').all(number) && Version::parse(version).is_ok()
}

fn maintainers(metadata: &Metadata) -> Result<(), String> {
    if metadata.empty_maintainer {
        return Err("a maintainer entry is empty".to_owned());
    }
    for maintainer in &metadata.maintainers {
        if maintainer.name.is_empty() {
            return Err("each maintainer requires a name".to_owned());
        }
        let mail = maintainer.email.split_once('@');
        let fits = |(user, host): (&str, &str)| !user.is_empty() && host.contains('.') && !host.contains(['@', ' ']);
        if !maintainer.email.is_empty() && !mail.is_some_and(fits) {
            return Err(format!("invalid email '{}' for maintainer '{}'", maintainer.email, maintainer.name));
        }
        if !maintainer.url.is_empty() && !is_page(&maintainer.url) {
            return Err(format!("invalid url '{}' for maintainer '{}'", maintainer.url, maintainer.name));
        }
    }
    Ok(())
}

fn sources(metadata: &Metadata) -> Result<(), String> {
    let wrong = metadata.sources.iter().find(|source| !is_address(source));
    wrong.map_or(Ok(()), |source| Err(format!("invalid source URL '{source}'")))
}

/// An address with a scheme and a place.
fn is_address(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        named
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !rest.is_empty()
            && !text.contains(' ')
    })
}

fn is_page(text: &str) -> bool {
    let host = text.split_once("://").map_or(text, |(_, rest)| rest).split('/').next().unwrap_or_default();
    (host.contains('.') || host == "localhost" || host.contains(':')) && !text.contains(' ')
}
