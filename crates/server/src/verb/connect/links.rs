//! Links in what comes back through a proxy: those that lead to the root of the server behind it are led through the proxy again.

/// Tags and their attributes that hold a link.
const LINKS: &[(&str, &[&str])] = &[
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["src", "usemap", "formaction"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];
/// Tags whose content is no markup.
const RAW: &[&str] = &["script", "style", "textarea", "title"];

/// What stands before a path on its way through the proxy, and the hosts that are the server behind it.
#[derive(Debug, Clone)]
pub(super) struct Through {
    /// The path up to `/proxy`.
    pub(super) prefix: String,
    /// Where the server behind it is dialled.
    pub(super) behind: String,
    /// The host by which the client called us.
    pub(super) asked: String,
}

impl Through {
    /// The link as the client is to follow it; none when it stays as it is.
    pub(super) fn link(&self, link: &str) -> Option<String> {
        let (host, path) = match link.split_once("://").or_else(|| link.strip_prefix("//").map(|rest| ("", rest))) {
            Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                let end = rest.find('/').unwrap_or(rest.len());
                (&rest[..end], &rest[end..])
            }
            _ => ("", link),
        };
        let ours = host.is_empty() || host == self.behind || host == self.asked;
        if !ours || !path.starts_with('/') || path.starts_with(&self.prefix) {
            return None;
        }
        let head = if !host.is_empty() && host == self.asked { &link[..link.len() - path.len()] } else { "" };
        Some(format!("{head}{}{path}", self.prefix))
    }

    /// A page with all its links led through the proxy.
    pub(super) fn page(&self, html: &[u8]) -> Vec<u8> {
        let mut page = Page { html, at: 0, copied: 0, out: Vec::with_capacity(html.len() + html.len() / 8), through: self };
        page.rewrite();
        page.out
    }
}

struct Page<'h> {
    html: &'h [u8],
    at: usize,
    /// Everything before is in `out`.
    copied: usize,
    out: Vec<u8>,
    through: &'h Through,
}

impl Page<'_> {
    fn rewrite(&mut self) {
        while let Some(next) = self.html[self.at..].iter().position(|byte| *byte == b'<') {
            self.at += next + 1;
            let rest = &self.html[self.at..];
            if rest.starts_with(b"!--") {
                self.skip_to(b"-->");
            } else if rest.first().is_some_and(u8::is_ascii_alphabetic) {
                let name = self.word(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'));
                self.attributes(&name);
                if RAW.contains(&name.as_str()) {
                    self.skip_to(format!("</{name}").as_bytes());
                }
            }
        }
        self.out.extend_from_slice(&self.html[self.copied..]);
    }

    fn attributes(&mut self, tag: &str) {
        let links = LINKS.iter().find(|(name, _)| *name == tag).map_or(&[] as &[&str], |(_, links)| links);
        loop {
            self.skip(|byte| byte.is_ascii_whitespace() || byte == b'/');
            match self.html.get(self.at) {
                None => return,
                Some(b'>') => {
                    self.at += 1;
                    return;
                }
                Some(_) => {}
            }
            let before = self.at;
            let name = self.word(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>' | b'='));
            self.skip(|byte| byte.is_ascii_whitespace());
            if self.html.get(self.at) == Some(&b'=') {
                self.at += 1;
                self.skip(|byte| byte.is_ascii_whitespace());
                let (start, end) = self.value();
                if links.contains(&name.as_str()) {
                    self.replace(start, end);
                }
            }
            // Something that is no attribute at all must not hold us up.
            self.at = self.at.max(before + 1);
        }
    }

    /// The bounds of a value; goes behind it.
    fn value(&mut self) -> (usize, usize) {
        let quote = self.html.get(self.at).copied().filter(|byte| matches!(byte, b'"' | b'\''));
        let start = self.at + usize::from(quote.is_some());
        let ends = |byte: &u8| quote.map_or(byte.is_ascii_whitespace() || *byte == b'>', |quote| *byte == quote);
        let end = self.html[start..].iter().position(ends).map_or(self.html.len(), |length| start + length);
        self.at = (end + usize::from(quote.is_some())).min(self.html.len());
        (start, end)
    }

    fn replace(&mut self, start: usize, end: usize) {
        let Ok(text) = std::str::from_utf8(&self.html[start..end]) else { return };
        let Some(link) = self.through.link(&text.trim().replace("&amp;", "&")) else { return };
        self.out.extend_from_slice(&self.html[self.copied..start]);
        self.out.extend_from_slice(link.replace('&', "&amp;").replace('"', "&quot;").as_bytes());
        self.copied = end;
    }

    fn word(&mut self, ends: impl Fn(u8) -> bool) -> String {
        let start = self.at;
        self.skip(|byte| !ends(byte));
        String::from_utf8_lossy(&self.html[start..self.at]).to_ascii_lowercase()
    }

    fn skip(&mut self, fits: impl Fn(u8) -> bool) {
        let rest = &self.html[self.at..];
        self.at += rest.iter().position(|byte| !fits(*byte)).unwrap_or(rest.len());
    }

    fn skip_to(&mut self, end: &[u8]) {
        let rest = &self.html[self.at..];
        self.at += rest.windows(end.len()).position(|part| part.eq_ignore_ascii_case(end)).unwrap_or(rest.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through() -> Through {
        Through { prefix: "/api/x/proxy".into(), behind: "10.0.0.1:80".into(), asked: "api:6443".into() }
    }

    #[test]
    fn links_to_the_root_of_the_server_go_through_the_proxy() {
        for (link, expected) in [
            ("/a?b=c#d", Some("/api/x/proxy/a?b=c#d")),
            ("a", None),
            ("http://10.0.0.1:80/a", Some("/api/x/proxy/a")),
            ("https://api:6443/a", Some("https://api:6443/api/x/proxy/a")),
            ("http://elsewhere/a", None),
            ("//elsewhere/a", None),
            ("/api/x/proxy/a", None),
            ("mailto:a@b", None),
        ] {
            assert_eq!(through().link(link).as_deref(), expected, "{link}");
        }
    }

    #[test]
    fn pages_are_changed_in_their_links_alone() {
        for (page, expected) in [
            (r#"<a href="/r">t</a>"#, r#"<a href="/api/x/proxy/r">t</a>"#),
            ("<A HREF='/r?a&amp;b'>", "<A HREF='/api/x/proxy/r?a&amp;b'>"),
            ("<a href=/r>t", "<a href=/api/x/proxy/r>t"),
            (r#"<p title="/r" href="/r">"#, r#"<p title="/r" href="/r">"#),
            (r#"<!-- <a href="/r"> --><img src="/i">"#, r#"<!-- <a href="/r"> --><img src="/api/x/proxy/i">"#),
            (r#"<script>"<a href='/r'>"</script><a href="/r">"#, r#"<script>"<a href='/r'>"</script><a href="/api/x/proxy/r">"#),
            ("a < b <", "a < b <"),
            ("<a href", "<a href"),
            (r#"<a href="/r"#, r#"<a href="/api/x/proxy/r"#),
        ] {
            assert_eq!(String::from_utf8(through().page(page.as_bytes())).unwrap(), expected, "{page}");
        }
    }
}
