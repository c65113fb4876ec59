//! The pages and what protects them: routes, handlers, limits.

mod pages;
mod protection;

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::{ConnectInfo, DefaultBodyLimit, Form, State},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use governor::{DefaultKeyedRateLimiter, Quota};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tracing::{error, info};

use crate::{
    accounts::Accounts,
    config::Config,
    metrics,
    sessions::{Session, Sessions, SessionsError},
    token::{Token, TokenHash},
};

/// Largest form in bytes.
const FORM_MAX: usize = 8 * 1024;
/// Longest name that is looked at, in characters.
const NAME_MAX: usize = 64;
/// After so many attempts to sign in, those that are long past are forgotten.
const TIDY_EVERY: u64 = 1024;
/// Longest part of a `User-Agent` that is kept, in characters.
const AGENT_MAX: usize = 120;

/// Everything that a request needs.
pub struct App {
    config: Config,
    accounts: Arc<Accounts>,
    sessions: Sessions,
    attempts: DefaultKeyedRateLimiter<(String, IpAddr)>,
    /// Password checks at once: each holds 19 MiB and a core.
    checks: Semaphore,
    /// Redis answered once: from then on this instance serves, if only a clear page when Redis is away.
    reached: AtomicBool,
    /// Attempts so far, for tidying up those of the past now and then.
    attempted: AtomicU64,
}

impl App {
    /// Joins the parts.
    pub fn new(config: Config, accounts: Accounts, sessions: Sessions) -> Self {
        let per_minute = NonZeroU32::new(config.sign_ins_per_minute).unwrap_or(NonZeroU32::MIN);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            config,
            accounts: Arc::new(accounts),
            sessions,
            attempts: DefaultKeyedRateLimiter::keyed(Quota::per_minute(per_minute)),
            checks: Semaphore::new(cores),
            reached: AtomicBool::new(false),
            attempted: AtomicU64::new(0),
        }
    }
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/sign-in", get(sign_in_page).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/sign-out-everywhere", post(sign_out_everywhere))
        .route("/sessions/end", post(end_session))
        .route("/style.css", get(style))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(|| async { metrics::render() }))
        .fallback(|| async { page(StatusCode::NOT_FOUND, pages::message("Not found", "There is no such page.")) })
        .layer(DefaultBodyLimit::max(FORM_MAX))
        .layer(middleware::from_fn(protection::same_origin))
        .layer(middleware::from_fn_with_state(app.config.cookie_secure, protection::security_headers))
        .with_state(app)
}

/// What a handler answers with when it cannot do its work.
struct Failure(SessionsError);

impl From<SessionsError> for Failure {
    fn from(error: SessionsError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        metrics::REDIS_UNAVAILABLE.add();
        error!(error = &self.0 as &dyn std::error::Error, "the session store is away");
        let text = "The session store cannot be reached at the moment. You are not signed out; try again in a few seconds.";
        let mut response = page(StatusCode::SERVICE_UNAVAILABLE, pages::message("Back in a moment", text));
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        response
    }
}

#[derive(Deserialize)]
struct SignInForm {
    name: String,
    password: zeroize::Zeroizing<String>,
}

#[derive(Deserialize)]
struct SessionForm {
    form_secret: String,
    #[serde(default)]
    session: String,
}

async fn home(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Failure> {
    let Some((token, session)) = current(&app, &headers).await? else { return Ok(Redirect::to("/sign-in").into_response()) };
    let sessions = app.sessions.list(&session.user).await?;
    let place = app.sessions.placement(&session.hash).await?;
    Ok(page(StatusCode::OK, pages::home(&session, &sessions, place.as_ref(), &token.form_secret(), &app.config.instance)))
}

async fn sign_in_page(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Failure> {
    if current(&app, &headers).await?.is_some() {
        return Ok(Redirect::to("/").into_response());
    }
    Ok(page(StatusCode::OK, pages::sign_in(None, "")))
}

async fn sign_in(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(form): Form<SignInForm>,
) -> Result<Response, Failure> {
    let name: String = form.name.trim().chars().take(NAME_MAX).collect();
    if app.attempted.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == 0 {
        app.attempts.retain_recent();
    }
    if app.attempts.check_key(&(name.clone(), peer.ip())).is_err() {
        metrics::SIGN_INS_LIMITED.add();
        let mut response = page(StatusCode::TOO_MANY_REQUESTS, pages::sign_in(Some("Too many attempts. Wait a minute."), &name));
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("60"));
        return Ok(response);
    }
    if !verify(&app, name.clone(), form.password).await {
        metrics::SIGN_INS_REFUSED.add();
        info!(peer = %peer.ip(), "sign-in refused");
        return Ok(page(StatusCode::UNAUTHORIZED, pages::sign_in(Some("The name or the password is wrong."), &name)));
    }
    let agent: String = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("unknown")
        .chars()
        .take(AGENT_MAX)
        .collect();
    let token = app.sessions.start(&name, &agent, &peer.ip().to_string()).await?;
    // The session from before, whoever planted it, ends: a token never outlives a change of who holds it.
    if let Some((_, before)) = current(&app, &headers).await? {
        app.sessions.end(&before.user, &before.hash).await?;
    }
    metrics::SIGN_INS.add();
    info!(session = token.hash().short(), "signed in");
    let cookie = protection::session_cookie(&app.config, Some(&token));
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

/// Checks a password on a thread of its own; as many at once as there are cores.
async fn verify(app: &App, name: String, password: zeroize::Zeroizing<String>) -> bool {
    let Ok(_turn) = app.checks.acquire().await else { return false };
    let accounts = Arc::clone(&app.accounts);
    tokio::task::spawn_blocking(move || accounts.verify(&name, &password)).await.unwrap_or(false)
}

async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap, Form(form): Form<SessionForm>) -> Result<Response, Failure> {
    if let Some(session) = confirmed(&app, &headers, &form).await? {
        app.sessions.end(&session.user, &session.hash).await?;
        info!(session = session.hash.short(), "signed out");
    }
    Ok(signed_out(&app))
}

async fn sign_out_everywhere(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(form): Form<SessionForm>,
) -> Result<Response, Failure> {
    let Some(session) = confirmed(&app, &headers, &form).await? else { return Ok(signed_out(&app)) };
    let ended = app.sessions.end_all(&session.user, None).await?;
    info!(ended, "signed out everywhere");
    Ok(signed_out(&app))
}

async fn end_session(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(form): Form<SessionForm>,
) -> Result<Response, Failure> {
    let Some(session) = confirmed(&app, &headers, &form).await? else { return Ok(signed_out(&app)) };
    if form.session == "others" {
        app.sessions.end_all(&session.user, Some(&session.hash)).await?;
    } else if let Some(hash) = TokenHash::parse(&form.session) {
        app.sessions.end(&session.user, &hash).await?;
    }
    Ok(Redirect::to("/").into_response())
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.reached.load(Ordering::Relaxed) {
        return "ok\n".into_response();
    }
    match app.sessions.ping().await {
        Ok(()) => {
            app.reached.store(true, Ordering::Relaxed);
            "ok\n".into_response()
        }
        Err(error) => {
            error!(error = &error as &dyn std::error::Error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "redis is away\n").into_response()
        }
    }
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")], pages::STYLE)
        .into_response()
}

/// The session of the request's cookie.
async fn current(app: &App, headers: &HeaderMap) -> Result<Option<(Token, Session)>, SessionsError> {
    let Some(token) = protection::session_token(&app.config, headers) else { return Ok(None) };
    Ok(app.sessions.find(&token).await?.map(|session| (token, session)))
}

/// The session of the request, if its form was made for it.
async fn confirmed(app: &App, headers: &HeaderMap, form: &SessionForm) -> Result<Option<Session>, SessionsError> {
    let Some((token, session)) = current(app, headers).await? else { return Ok(None) };
    let genuine = subtle::ConstantTimeEq::ct_eq(token.form_secret().as_bytes(), form.form_secret.as_bytes());
    Ok(bool::from(genuine).then_some(session))
}

fn signed_out(app: &App) -> Response {
    ([(header::SET_COOKIE, protection::session_cookie(&app.config, None))], Redirect::to("/sign-in")).into_response()
}

fn page(status: StatusCode, markup: maud::Markup) -> Response {
    (status, Html(markup.into_string())).into_response()
}
