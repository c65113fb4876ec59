//! The formats of texts that a custom kind's schema may ask for. Unknown ones are not checked.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) fn fits(text: &str, format: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => text.contains('/') && text.parse::<ipnet::IpNet>().is_ok(),
        "byte" => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.decode(text).is_ok()
        }
        "uuid" | "uuid3" | "uuid4" | "uuid5" => is_uuid(text),
        "email" => text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !text.contains(' ')),
        "uri" => text.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty() && !text.contains(' ')),
        "hostname" => crate::rules::names::dns_subdomain(&text.to_lowercase()).is_empty(),
        "mac" => {
            let parts: Vec<&str> = text.split([':', '-']).collect();
            matches!(parts.len(), 6 | 8) && parts.iter().all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok())
        }
        "duration" => is_duration(text),
        _ => true,
    }
}

fn is_uuid(text: &str) -> bool {
    let plain: String = text.chars().filter(|letter| *letter != '-').collect();
    plain.len() == 32 && plain.chars().all(|letter| letter.is_ascii_hexdigit())
}

/// Go's durations, such as `1h30m`.
fn is_duration(text: &str) -> bool {
    static PATTERN: std::sync::LazyLock<Option<regex::Regex>> = std::sync::LazyLock::new(|| {
        regex::Regex::new(r"^[+-]?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+) *(ns|us|µs|μs|ms|s|m|h|d|w)[a-z]* *)+$").ok()
    });
    PATTERN.as_ref().is_some_and(|pattern| pattern.is_match(text))
}
