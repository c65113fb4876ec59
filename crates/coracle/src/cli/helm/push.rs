//! `helm push` and `helm registry`: charts into registries, and who may bring them there.

use std::fs;
use std::path::Path;

use super::fetch::Access;
use super::flags::{Flag, Kind, Matches, of, switch};
use super::registry::{self, Parcel};
use super::{Done, Fault, chart_files, credentials, prompt};
use crate::output;

/// Flags of `push`.
pub(super) const FLAGS: &[Flag] = &[
    of(Kind::Text, "cert-file", "identify registry client using this SSL certificate file"),
    of(Kind::Text, "key-file", "identify registry client using this SSL key file"),
    of(Kind::Text, "ca-file", "verify certificates of HTTPS-enabled servers using this CA bundle"),
    switch("insecure-skip-tls-verify", "skip tls certificate checks for the chart upload"),
    switch("plain-http", "use insecure HTTP connections for the chart upload"),
    of(Kind::Text, "username", "chart repository username where to locate the requested chart"),
    of(Kind::Text, "password", "chart repository password where to locate the requested chart"),
];

/// Flags of `registry login`.
pub(super) const LOGIN_FLAGS: &[Flag] = &[
    of(Kind::Text, "username", "registry username").short('u'),
    of(Kind::Text, "password", "registry password or identity token").short('p'),
    switch("password-stdin", "read password or identity token from stdin"),
    switch("insecure", "allow connections to TLS registry without certs"),
    of(Kind::Text, "cert-file", "identify registry client using this SSL certificate file"),
    of(Kind::Text, "key-file", "identify registry client using this SSL key file"),
    of(Kind::Text, "ca-file", "verify certificates of HTTPS-enabled servers using this CA bundle"),
    switch("plain-http", "use insecure HTTP connections for the chart upload"),
];

pub(super) fn run(matches: &Matches) -> Done {
    let (file, remote) = (matches.argument(0), matches.argument(1));
    let path = Path::new(file);
    if !remote.starts_with("oci://") {
        let scheme = remote.split_once("://").map_or("", |(scheme, _)| scheme);
        return Err(Fault::new(match scheme {
            "" => "scheme prefix missing from remote (e.g. \"oci://\")".to_owned(),
            scheme => format!("scheme {scheme:?} not supported"),
        }));
    }
    let about = match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Fault::new(format!("{file}: no such file")));
        }
        about => about.map_err(|error| Fault::new(chart_files::go_error("stat", path, &error)))?,
    };
    if about.is_dir() {
        return Err(Fault::new("cannot push directory, must provide chart archive (.tgz)"));
    }
    let chart = chart_files::load(path)?;
    let archive = fs::read(path).map_err(|error| Fault::new(chart_files::go_error("open", path, &error)))?;
    let proof = fs::read(format!("{file}.prov")).ok();
    let made = jiff::Timestamp::try_from(about.modified()?)?;
    let made = jiff::Timestamp::from_second(made.as_second())?;
    let created = made.to_string();
    registry::push(matches, remote, Parcel { metadata: &chart.metadata, archive, proof, created }, &Access::of(matches))
}

pub(super) fn login(matches: &Matches) -> Done {
    let host = matches.argument(0);
    let (name, password) = who(matches)?;
    if let Some((registry, _)) = host.split_once('/') {
        output::remark(&format!(
            "level=WARN msg=\"registry login currently only supports registry hostname, not a repository path\" host={host} suggested={registry}"
        ));
        return Err(Fault::new(format!("invalid reference: invalid registry {host:?}")));
    }
    let access = Access { username: name, password, insecure: matches.flag("insecure"), ..Access::of(matches) };
    registry::login(host, &access)?;
    credentials::keep(matches, host, &access.username, &access.password)?;
    output::line("Login Succeeded");
    Ok(())
}

/// The name and the password or token, from the command line, the standard input or a person.
fn who(matches: &Matches) -> Result<(String, String), Fault> {
    let mut name = matches.text("username").to_owned();
    if matches.flag("password-stdin") {
        return Ok((name, prompt::piped()?));
    }
    let password = matches.text("password").to_owned();
    if !password.is_empty() {
        output::remark("level=WARN msg=\"using --password via the CLI is insecure. Use --password-stdin\"");
        return Ok((name, password));
    }
    if name.is_empty() {
        prompt::shown("Username: ")?.trim().clone_into(&mut name);
    }
    let what = if name.is_empty() { "Token" } else { "Password" };
    let password = prompt::hidden(&format!("{what}: "))?;
    output::line("");
    if password.is_empty() {
        return Err(Fault::new(format!("{} required", what.to_lowercase())));
    }
    Ok((name, password))
}

pub(super) fn logout(matches: &Matches) -> Done {
    let host = matches.argument(0);
    credentials::forget(matches, host)?;
    output::line(&format!("Removing login credentials for {host}"));
    Ok(())
}
