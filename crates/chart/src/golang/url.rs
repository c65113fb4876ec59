//! Web addresses as Go's net/url takes them apart and puts them together.

use super::ip;
use crate::print::quote::quoted as quote;

/// What stands where decides which bytes must be escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Path,
    UserInfo,
    Host,
    Zone,
    Fragment,
}

/// The parts of an address.
#[derive(Clone, Debug, Default)]
pub struct Url {
    /// In lower case.
    pub scheme: Vec<u8>,
    /// What follows the scheme where no slash does.
    pub opaque: Vec<u8>,
    /// Name, and password where there is one.
    pub user: Option<(Vec<u8>, Option<Vec<u8>>)>,
    /// With its port.
    pub host: Vec<u8>,
    /// Without escapes.
    pub path: Vec<u8>,
    /// As it was written.
    pub query: Vec<u8>,
    /// Without escapes.
    pub fragment: Vec<u8>,
}

/// Why a text is no address; the wording is Go's, `parse` and the address before it included.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("parse {address}: {problem}")]
pub struct UrlError {
    address: String,
    problem: String,
}

type Parsed<T> = Result<T, String>;

/// Takes an address apart.
pub fn parse(text: &[u8]) -> Result<Url, UrlError> {
    let failed = |address: &[u8]| {
        let address = quote(address);
        move |problem: String| UrlError { address, problem }
    };
    let (before, fragment) = cut(text, b'#');
    let mut url = parse_before_fragment(before).map_err(failed(before))?;
    url.fragment = unescape(fragment.unwrap_or_default(), Place::Fragment).map_err(failed(text))?;
    Ok(url)
}

fn cut(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == at) {
        Some(place) => (&text[..place], Some(&text[place + 1..])),
        None => (text, None),
    }
}

fn parse_before_fragment(text: &[u8]) -> Parsed<Url> {
    let mut url = Url::default();
    if text.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    if text == b"*" {
        url.path = text.to_vec();
        return Ok(url);
    }
    let (scheme, rest) = scheme_of(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    let (mut rest, query) = cut(rest, b'?');
    url.query = query.unwrap_or_default().to_vec();
    if !rest.starts_with(b"/") {
        if !scheme.is_empty() {
            url.opaque = rest.to_vec();
            return Ok(url);
        }
        if cut(rest, b'/').0.contains(&b':') {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    if (!scheme.is_empty() || !rest.starts_with(b"///")) && rest.starts_with(b"//") {
        let after = &rest[2..];
        let end = after.iter().position(|byte| *byte == b'/').unwrap_or(after.len());
        (url.user, url.host) = authority(&url.scheme, &after[..end])?;
        rest = &after[end..];
    }
    url.path = unescape(rest, Place::Path)?;
    Ok(url)
}

fn scheme_of(text: &[u8]) -> Parsed<(&[u8], &[u8])> {
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if index > 0 => {}
            b':' if index == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => return Ok((&text[..index], &text[index + 1..])),
            _ => break,
        }
    }
    Ok((b"", text))
}

type User = Option<(Vec<u8>, Option<Vec<u8>>)>;

fn authority(scheme: &[u8], text: &[u8]) -> Parsed<(User, Vec<u8>)> {
    let Some(at) = text.iter().rposition(|byte| *byte == b'@') else { return Ok((None, host(scheme, text)?)) };
    let host = host(scheme, &text[at + 1..])?;
    let user = &text[..at];
    if !user.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte)) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    let (name, password) = cut(user, b':');
    let name = unescape(name, Place::UserInfo)?;
    let password = password.map(|password| unescape(password, Place::UserInfo)).transpose()?;
    Ok((Some((name, password)), host))
}

fn is_port(text: &[u8]) -> bool {
    text.is_empty() || text[0] == b':' && text[1..].iter().all(u8::is_ascii_digit)
}

fn checked_port(text: &[u8]) -> Parsed<()> {
    if is_port(text) { Ok(()) } else { Err(format!("invalid port {} after host", quote(text))) }
}

fn host(scheme: &[u8], text: &[u8]) -> Parsed<Vec<u8>> {
    match text.iter().rposition(|byte| *byte == b'[') {
        Some(0) => return bracketed_host(text),
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {}
    }
    if let Some(first) = text.iter().position(|byte| *byte == b':') {
        let last = text.iter().rposition(|byte| *byte == b':').unwrap_or(first);
        let strict = matches!(scheme, b"http" | b"https");
        checked_port(&text[if strict { first } else { last }..])?;
    }
    unescape(text, Place::Host)
}

fn bracketed_host(text: &[u8]) -> Parsed<Vec<u8>> {
    let close = text.iter().rposition(|byte| *byte == b']').ok_or("missing ']' in host")?;
    let port = &text[close + 1..];
    checked_port(port)?;
    let name = &text[1..close];
    let name = match name.windows(3).position(|part| part == b"%25") {
        Some(zone) => [unescape(&name[..zone], Place::Host)?, unescape(&name[zone..], Place::Zone)?].concat(),
        None => unescape(name, Place::Host)?,
    };
    match ip::parse(&name) {
        Err(error) => Err(format!("invalid host: {error}")),
        Ok(address) if address.is_ipv4() => Err("invalid IP-literal".to_owned()),
        Ok(_) => Ok([b"[", name.as_slice(), b"]", port].concat()),
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn unescape(text: &[u8], place: Place) -> Parsed<Vec<u8>> {
    let bad_escape = |shown: &[u8]| format!("invalid URL escape {}", quote(shown));
    let in_host = matches!(place, Place::Host | Place::Zone);
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        if byte != b'%' {
            if in_host && byte < 0x80 && must_escape(byte, place) {
                return Err(format!("invalid character {} in host name", quote(&text[at..=at])));
            }
            out.push(byte);
            at += 1;
            continue;
        }
        let shown = &text[at..text.len().min(at + 3)];
        let (Some(high), Some(low)) = (shown.get(1).and_then(|byte| hex(*byte)), shown.get(2).and_then(|byte| hex(*byte))) else {
            return Err(bad_escape(shown));
        };
        let value = high << 4 | low;
        let refused = match place {
            Place::Host => high < 8 && shown != b"%25",
            Place::Zone => shown != b"%25" && value != b' ' && must_escape(value, Place::Host),
            _ => false,
        };
        if refused {
            return Err(bad_escape(shown));
        }
        out.push(value);
        at += 3;
    }
    Ok(out)
}

fn must_escape(byte: u8, place: Place) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return false;
    }
    !match place {
        Place::Host | Place::Zone => b"!$&'()*+,;=:[]<>\"".contains(&byte),
        Place::Path => b"$&+,/:;=@".contains(&byte),
        Place::UserInfo => b"$&+,;=".contains(&byte),
        Place::Fragment => b"$&+,/:;=?@!()*".contains(&byte),
    }
}

fn escape(text: &[u8], place: Place) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if must_escape(*byte, place) {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.push(*byte);
        }
    }
    out
}

impl Url {
    /// The host without its port and brackets.
    pub fn hostname(&self) -> &[u8] {
        let mut host = self.host.as_slice();
        if let Some(colon) = host.iter().rposition(|byte| *byte == b':')
            && is_port(&host[colon..])
        {
            host = &host[..colon];
        }
        host.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(host)
    }

    /// Name and password, escaped.
    pub fn user_info(&self) -> Vec<u8> {
        match &self.user {
            None => Vec::new(),
            Some((name, None)) => escape(name, Place::UserInfo),
            Some((name, Some(password))) => [escape(name, Place::UserInfo), escape(password, Place::UserInfo)].join(&b':'),
        }
    }

    /// Puts the parts together.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.scheme.is_empty() {
            out.extend_from_slice(&self.scheme);
            out.push(b':');
        }
        if self.opaque.is_empty() {
            self.write_hierarchy(&mut out);
        } else {
            out.extend_from_slice(&self.opaque);
        }
        if !self.query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend_from_slice(&escape(&self.fragment, Place::Fragment));
        }
        out
    }

    fn write_hierarchy(&self, out: &mut Vec<u8>) {
        if !self.host.is_empty() || self.user.is_some() || !self.scheme.is_empty() && !self.path.is_empty() {
            out.extend_from_slice(b"//");
        }
        if self.user.is_some() {
            out.extend_from_slice(&self.user_info());
            out.push(b'@');
        }
        out.extend_from_slice(&escape(&self.host, Place::Host));
        let path = if self.path == b"*" { self.path.clone() } else { escape(&self.path, Place::Path) };
        if !path.is_empty() && path[0] != b'/' && !self.host.is_empty() {
            out.push(b'/');
        }
        if out.is_empty() && cut(&path, b'/').0.contains(&b':') {
            out.extend_from_slice(b"./");
        }
        out.extend_from_slice(&path);
    }
}
