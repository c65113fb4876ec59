//! The environment of a container: variables of services, of config maps and secrets, of its own, with `$(NAME)` filled in.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, Service};

use super::{Parts, Unfit, fields};
use crate::site::Found;

/// All variables, later ones over earlier ones.
pub(crate) async fn of_container(parts: &Parts<'_>) -> Result<Vec<(String, String)>, Unfit> {
    let mut all = services(parts);
    for source in parts.container.env_from.iter().flatten() {
        let prefix = source.prefix.clone().unwrap_or_default();
        let found = if let Some(map) = &source.config_map_ref {
            config_map(parts, &map.name, map.optional).await?
        } else if let Some(secret) = &source.secret_ref {
            self::secret(parts, &secret.name, secret.optional).await?
        } else {
            None
        };
        for (key, bytes) in found.iter().flat_map(|found| &found.data) {
            set(&mut all, format!("{prefix}{key}"), String::from_utf8_lossy(bytes).into_owned());
        }
    }
    for variable in parts.container.env.iter().flatten() {
        if let Some(value) = value(parts, variable, &all).await? {
            set(&mut all, variable.name.clone(), value);
        }
    }
    Ok(all)
}

fn set(all: &mut Vec<(String, String)>, name: String, value: String) {
    match all.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => all.push((name, value)),
    }
}

async fn value(parts: &Parts<'_>, variable: &EnvVar, known: &[(String, String)]) -> Result<Option<String>, Unfit> {
    let Some(source) = &variable.value_from else {
        return Ok(Some(expand(variable.value.as_deref().unwrap_or_default(), known)));
    };
    from_source(parts, source).await
}

async fn from_source(parts: &Parts<'_>, source: &EnvVarSource) -> Result<Option<String>, Unfit> {
    let namespace = parts.pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(field) = &source.field_ref {
        let path = field.field_path.as_str();
        let own: Vec<String> = match parts.pod.spec.as_ref().and_then(|spec| spec.host_network) {
            Some(true) => vec![parts.site.address.to_string()],
            _ => parts.addresses.iter().map(ToString::to_string).collect(),
        };
        return match path {
            "status.podIP" => Ok(own.into_iter().next()),
            "status.podIPs" => Ok(Some(own.join(","))),
            _ => fields::of_pod(parts.site, parts.pod, path).map(Some).map_err(Unfit::config),
        };
    }
    if let Some(resource) = &source.resource_field_ref {
        let text = fields::of_resources(parts.site, parts.pod, resource, Some(parts.container));
        return text.map(Some).map_err(Unfit::config);
    }
    if let Some(key) = &source.config_map_key_ref {
        let found = config_map(parts, &key.name, key.optional).await?;
        return keyed(found, &key.key, key.optional, &format!("ConfigMap {namespace}/{}", key.name));
    }
    if let Some(key) = &source.secret_key_ref {
        let found = secret(parts, &key.name, key.optional).await?;
        return keyed(found, &key.key, key.optional, &format!("Secret {namespace}/{}", key.name));
    }
    Err(Unfit::config("a variable has a source that is not known here"))
}

fn keyed(found: Option<Found>, key: &str, optional: Option<bool>, what: &str) -> Result<Option<String>, Unfit> {
    let value = found.as_ref().and_then(|found| found.data.get(key));
    match value {
        Some(bytes) => Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
        None if optional == Some(true) => Ok(None),
        None => Err(Unfit::config(format!("couldn't find key {key} in {what}"))),
    }
}

async fn config_map(parts: &Parts<'_>, name: &str, optional: Option<bool>) -> Result<Option<Found>, Unfit> {
    let namespace = parts.pod.metadata.namespace.as_deref().unwrap_or_default();
    let found = parts.site.objects.config_map(namespace, name).await.get();
    present(found, optional, || format!("configmap \"{name}\" not found"))
}

async fn secret(parts: &Parts<'_>, name: &str, optional: Option<bool>) -> Result<Option<Found>, Unfit> {
    let namespace = parts.pod.metadata.namespace.as_deref().unwrap_or_default();
    let found = parts.site.objects.secret(namespace, name).await.get();
    present(found, optional, || format!("secret \"{name}\" not found"))
}

fn present(found: Option<Found>, optional: Option<bool>, missing: impl Fn() -> String) -> Result<Option<Found>, Unfit> {
    match found {
        None if optional != Some(true) => Err(Unfit::config(missing())),
        found => Ok(found),
    }
}

/// The variables of the services that a pod may use by name: those of its namespace, and the API's own.
fn services(parts: &Parts<'_>) -> Vec<(String, String)> {
    let namespace = parts.pod.metadata.namespace.as_deref().unwrap_or_default();
    let links = parts.pod.spec.as_ref().and_then(|spec| spec.enable_service_links) != Some(false);
    let mut services = Vec::new();
    if let Some(api) = parts.site.services.find("default", "kubernetes") {
        services.push(api);
    }
    if links {
        let own = parts.site.services.in_namespace(namespace).into_iter();
        services.extend(own.filter(|s| !(namespace == "default" && s.metadata.name.as_deref() == Some("kubernetes"))));
    }
    services.iter().flat_map(|service| of_service(service)).collect()
}

fn of_service(service: &Service) -> Vec<(String, String)> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let address = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None");
    let (Some(address), Some(ports)) = (address, spec.ports.as_ref()) else { return Vec::new() };
    let Some(first) = ports.first() else { return Vec::new() };
    let name = service.metadata.name.as_deref().unwrap_or_default().to_uppercase().replace('-', "_");
    let mut all =
        vec![(format!("{name}_SERVICE_HOST"), address.to_owned()), (format!("{name}_SERVICE_PORT"), first.port.to_string())];
    for port in ports {
        if let Some(own) = port.name.as_deref().filter(|own| !own.is_empty()) {
            let own = own.to_uppercase().replace('-', "_");
            all.push((format!("{name}_SERVICE_PORT_{own}"), port.port.to_string()));
        }
    }
    let url = |port: &k8s_openapi::api::core::v1::ServicePort| {
        let protocol = port.protocol.as_deref().unwrap_or("TCP").to_lowercase();
        (format!("{protocol}://{address}:{}", port.port), protocol)
    };
    all.push((format!("{name}_PORT"), url(first).0));
    for port in ports {
        let (url, protocol) = url(port);
        let prefix = format!("{name}_PORT_{}_{}", port.port, protocol.to_uppercase());
        all.push((prefix.clone(), url));
        all.push((format!("{prefix}_PROTO"), protocol));
        all.push((format!("{prefix}_PORT"), port.port.to_string()));
        all.push((format!("{prefix}_ADDR"), address.to_owned()));
    }
    all
}

/// Fills in `$(NAME)`; `$$` is a dollar, and a name that nobody knows stays as it is written.
pub(crate) fn expand(text: &str, known: &[(String, String)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            filled.push('$');
            rest = after;
        } else if let Some((name, behind)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match known.iter().find(|(known, _)| known == name) {
                Some((_, value)) => filled.push_str(value),
                None => filled.push_str(&rest[at..rest.len() - behind.len()]),
            }
            rest = behind;
        } else {
            filled.push('$');
            rest = after;
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_as_upstream_does() {
        let known = [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())];
        for (text, expected) in [
            ("$(A)", "1"),
            ("x$(A)y$(B)", "x1y$(A)"),
            ("$$(A)", "$(A)"),
            ("$(C)", "$(C)"),
            ("$A $", "$A $"),
            ("$(A", "$(A"),
            ("$$$(A)", "$1"),
        ] {
            assert_eq!(expand(text, &known), expected, "{text}");
        }
    }

    #[test]
    fn a_service_shows_as_links_do() {
        let service: Service = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "redis-main" },
            "spec": { "clusterIP": "10.43.0.9", "ports": [{ "name": "db", "port": 6379, "protocol": "TCP" }] },
        }))
        .unwrap();
        let all = of_service(&service);
        let get = |name: &str| all.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(get("REDIS_MAIN_SERVICE_HOST"), Some("10.43.0.9"));
        assert_eq!(get("REDIS_MAIN_SERVICE_PORT_DB"), Some("6379"));
        assert_eq!(get("REDIS_MAIN_PORT"), Some("tcp://10.43.0.9:6379"));
        assert_eq!(get("REDIS_MAIN_PORT_6379_TCP_ADDR"), Some("10.43.0.9"));
    }
}
