//! The files that a pod finds in `/etc`: its name, who is who, and where names are looked up.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use crate::site::Site;

/// The longest name of a host.
const NAME_MAX: usize = 63;
/// How many name servers and search domains a resolver takes.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;

/// What containers see as their host's name.
pub(crate) fn hostname(site: &Site, pod: &Pod) -> String {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let Some(spec) = &pod.spec else { return name.to_owned() };
    if spec.host_network == Some(true) {
        return rustix::system::uname().nodename().to_string_lossy().into_owned();
    }
    if let Some(name) = spec.hostname_override.as_ref().filter(|name| !name.is_empty()) {
        return name.clone();
    }
    let short = match spec.hostname.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None => name.chars().take(NAME_MAX).collect::<String>().trim_end_matches(['-', '.']).to_owned(),
    };
    match domain(site, pod, spec).filter(|_| spec.set_hostname_as_fqdn == Some(true)) {
        Some(domain) => format!("{short}.{domain}"),
        None => short,
    }
}

/// The domain of a pod that has a subdomain.
fn domain(site: &Site, pod: &Pod, spec: &PodSpec) -> Option<String> {
    let subdomain = spec.subdomain.as_deref().filter(|name| !name.is_empty())?;
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    Some(format!("{subdomain}.{namespace}.svc.{}", site.domain))
}

/// Writes the files of a pod below `etc` in its folder.
pub(crate) fn write(site: &Site, pod: &Pod, folder: &Path, addresses: &[IpAddr]) -> io::Result<()> {
    let etc = folder.join("etc");
    std::fs::create_dir_all(&etc)?;
    std::fs::write(etc.join("hostname"), format!("{}\n", hostname(site, pod)))?;
    std::fs::write(etc.join("hosts"), hosts(site, pod, addresses))?;
    std::fs::write(etc.join("resolv.conf"), resolver(site, pod))
}

const LOOPBACK: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nfe00::\tip6-mcastprefix\n\
                        fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";

fn hosts(site: &Site, pod: &Pod, addresses: &[IpAddr]) -> String {
    let Some(spec) = &pod.spec else { return String::new() };
    let mut text = if spec.host_network == Some(true) {
        let of_node = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        format!("# Kubernetes-managed hosts file (host network).\n{of_node}")
    } else {
        let mut text = format!("# Kubernetes-managed hosts file.\n{LOOPBACK}");
        let name = hostname(site, pod);
        let short = name.split('.').next().unwrap_or_default();
        for address in addresses {
            let _ = match domain(site, pod, spec) {
                Some(domain) => writeln!(text, "{address}\t{short}.{domain}\t{short}"),
                None => writeln!(text, "{address}\t{name}"),
            };
        }
        text
    };
    let aliases = spec.host_aliases.as_deref().unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        let _ = writeln!(text, "{}\t{names}", alias.ip);
    }
    text
}

/// Where names are looked up.
#[derive(Debug, Default, PartialEq, Eq)]
struct Resolver {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

fn resolver(site: &Site, pod: &Pod) -> String {
    let Some(spec) = &pod.spec else { return String::new() };
    let policy = match spec.dns_policy.as_deref().unwrap_or("ClusterFirst") {
        "ClusterFirst" if spec.host_network == Some(true) => "Default",
        other => other,
    };
    let of_node = || parse(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    let mut resolver = match policy {
        "None" => Resolver::default(),
        "Default" => of_node(),
        _ => {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            let mut searches =
                vec![format!("{namespace}.svc.{}", site.domain), format!("svc.{}", site.domain), site.domain.clone()];
            searches.extend(of_node().searches);
            Resolver { servers: vec![site.dns.to_string()], searches, options: vec!["ndots:5".into()] }
        }
    };
    if let Some(config) = &spec.dns_config {
        resolver.servers.extend(config.nameservers.iter().flatten().cloned());
        resolver.searches.extend(config.searches.iter().flatten().cloned());
        for option in config.options.iter().flatten() {
            let name = option.name.clone().unwrap_or_default();
            resolver.options.retain(|known| known.split(':').next() != Some(&name));
            resolver.options.push(option.value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}:{value}")));
        }
    }
    render(resolver)
}

fn parse(text: &str) -> Resolver {
    let mut found = Resolver::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => found.servers.extend(words.next().map(str::to_owned)),
            Some("search") => found.searches = words.filter(|word| *word != ".").map(str::to_owned).collect(),
            Some("options") => found.options = words.map(str::to_owned).collect(),
            _ => {}
        }
    }
    found
}

fn render(resolver: Resolver) -> String {
    let once = |list: Vec<String>, max: usize| {
        let mut seen: Vec<String> = Vec::new();
        for one in list {
            if !seen.contains(&one) && seen.len() < max {
                seen.push(one);
            }
        }
        seen
    };
    let mut text = String::new();
    let searches = once(resolver.searches, SEARCHES_MAX);
    if !searches.is_empty() {
        let _ = writeln!(text, "search {}", searches.join(" "));
    }
    for server in once(resolver.servers, NAMESERVERS_MAX) {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !resolver.options.is_empty() {
        let _ = writeln!(text, "options {}", resolver.options.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_is_read_and_written_once_each() {
        let mut found = parse("# c\nnameserver 1.1.1.1\nsearch a b\noptions ndots:2 rotate\n");
        found.servers.extend(["1.1.1.1".into(), "8.8.8.8".into()]);
        let text = "search a b\nnameserver 1.1.1.1\nnameserver 8.8.8.8\noptions ndots:2 rotate\n";
        assert_eq!(render(found), text);
    }
}
