//! The pages, as HTML that needs no script.

use std::time::{SystemTime, UNIX_EPOCH};

use maud::{DOCTYPE, Markup, html};

use crate::{
    placement::{Member, Placement},
    sessions::Session,
};

/// The one style sheet.
pub const STYLE: &str = include_str!("style.css");

fn layout(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Session" }
                link rel="stylesheet" href="/style.css";
            }
            body { main { (body) } footer { "Session, on a Redis Cluster" } }
        }
    }
}

/// The form to sign in; `problem` says why the last try failed.
pub fn sign_in(problem: Option<&str>, name: &str) -> Markup {
    layout(
        "Sign in",
        &html! {
            section.card.narrow {
                h1 { "Sign in" }
                @if let Some(problem) = problem { p.problem role="alert" { (problem) } }
                form method="post" action="/sign-in" {
                    label for="name" { "Name" }
                    input id="name" name="name" value=(name) autocomplete="username" autocapitalize="none" required autofocus maxlength="64";
                    label for="password" { "Password" }
                    input id="password" name="password" type="password" autocomplete="current-password" required maxlength="1024";
                    button type="submit" { "Sign in" }
                }
            }
        },
    )
}

/// One sentence, for errors.
pub fn message(title: &str, text: &str) -> Markup {
    layout(title, &html! { section.card.narrow { h1 { (title) } p { (text) } p { a href="/" { "To the start" } } } })
}

/// Who is signed in, where the session lives, and the user's other sessions.
pub fn home(session: &Session, sessions: &[Session], place: Option<&Placement>, form_secret: &str, instance: &str) -> Markup {
    layout(
        "Your session",
        &html! {
            header {
                h1 { "Hello, " span id="user" { (session.user) } }
                form method="post" action="/sign-out" { (secret(form_secret)) button.quiet type="submit" { "Sign out" } }
            }
            section.card {
                h2 { "Where this session lives" }
                @match place {
                    Some(place) => (placement(session, place)),
                    None => p.problem { "No shard serves this key at the moment." },
                }
                p.note { "Answered by " code id="instance" { (instance) } }
            }
            section.card {
                h2 { "Your sessions" }
                (session_table(session, sessions, form_secret))
                div.actions {
                    form method="post" action="/sessions/end" {
                        (secret(form_secret)) input type="hidden" name="session" value="others";
                        button.quiet id="end-others" type="submit" { "Sign out the others" }
                    }
                    form method="post" action="/sign-out-everywhere" {
                        (secret(form_secret)) button.danger id="everywhere" type="submit" { "Sign out everywhere" }
                    }
                }
            }
        },
    )
}

fn secret(form_secret: &str) -> Markup {
    html! { input type="hidden" name="form_secret" value=(form_secret); }
}

fn placement(session: &Session, place: &Placement) -> Markup {
    html! {
        table.facts {
            tr { th scope="row" { "Key" } td { code id="key" { "session:" (session.hash.as_str()) } } }
            tr { th scope="row" { "Slot" } td id="slot" { (place.slot) } }
            tr { th scope="row" { "Shard" } td id="shard" { (place.shard) } }
            tr { th scope="row" { "Master" } td { (member(&place.master, "master")) } }
            @for replica in &place.replicas {
                tr { th scope="row" { "Replica" } td { (member(replica, "replica")) } }
            }
        }
    }
}

fn member(member: &Member, id: &str) -> Markup {
    html! {
        @if !member.node.is_empty() { strong id={ (id) "-node" } { (member.node) } " · " }
        span id=(id) { (member.address) }
        @if !member.pod.is_empty() { " · " span id={ (id) "-pod" } { (member.pod) } }
        @if !member.connected { " " span.badge.bad { "away" } }
        " " code.dim { (member.id.get(..8).unwrap_or(&member.id)) }
    }
}

fn session_table(current: &Session, sessions: &[Session], form_secret: &str) -> Markup {
    html! {
        div.scroll { table.list id="sessions" {
            thead { tr { th { "Session" } th { "Browser" } th { "Address" } th { "Signed in" } th { "Last used" } th {} } }
            tbody {
                @for session in sessions {
                    tr {
                        td { code { (session.hash.short()) } @if session.hash == current.hash { " " span.badge { "this one" } } }
                        td { (session.agent) }
                        td { (session.address) }
                        td { (age(session.created_ms)) }
                        td { (age(session.seen_ms)) }
                        td { form method="post" action="/sessions/end" {
                            (secret(form_secret)) input type="hidden" name="session" value=(session.hash.as_str());
                            button.quiet type="submit" { "End" }
                        } }
                    }
                }
            }
        } }
    }
}

fn age(at_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    match now.saturating_sub(at_ms / 1000) {
        0..60 => "just now".to_owned(),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_typed_is_escaped() {
        let page = sign_in(Some("no"), "\"><script>alert(1)</script>").into_string();
        assert!(!page.contains("<script>"));
    }
}
