//! What every answer carries and every changing request must show: security headers, cookie attributes, same origin.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{config::Config, token::Token};

/// Headers of every answer (OWASP Secure Headers). Scripts are not allowed at all: the pages work without.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
];

/// Puts [`HEADERS`] on an answer; pages are never cached. Behind TLS browsers are told to come by TLS alone.
pub async fn security_headers(State(secure): State<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if secure {
        let year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses a changing request that another site sent: `Sec-Fetch-Site` where the browser says it, else `Origin` against `Host`.
pub async fn same_origin(request: Request, next: Next) -> Response {
    if request.method() == Method::POST && !is_same_origin(request.headers()) {
        return (StatusCode::FORBIDDEN, "a form of another site was refused\n").into_response();
    }
    next.run(request).await
}

fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    let Some(origin) = text(header::ORIGIN) else { return false };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == text(header::HOST)
}

/// The cookie's name. The prefix `__Host-` binds it to this host, to `/` and to TLS.
fn cookie_name(config: &Config) -> &'static str {
    if config.cookie_secure { "__Host-session" } else { "session" }
}

/// The `Set-Cookie` that gives a token, or takes it away.
pub fn session_cookie(config: &Config, token: Option<&Token>) -> String {
    let name = cookie_name(config);
    let secure = if config.cookie_secure { "; Secure" } else { "" };
    let (value, age) = token.map_or(("", 0), |token| (token.expose(), config.absolute.as_secs()));
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}")
}

/// The token of the request's cookie; `None` when there is none that could be ours.
pub fn session_token(config: &Config, headers: &HeaderMap) -> Option<Token> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == cookie_name(config))
        .and_then(|(_, value)| Token::parse(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        for (pairs, allowed) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://app"), ("host", "app")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("origin", "http://app:80"), ("host", "app:80")], true),
            (&[("origin", "http://evil"), ("host", "app")], false),
            (&[("origin", "null"), ("host", "app")], false),
            (&[("host", "app")], false),
        ] {
            assert_eq!(is_same_origin(&headers(pairs)), allowed, "{pairs:?}");
        }
    }
}
