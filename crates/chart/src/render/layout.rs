//! How Helm lays out the errors of templates: places first, then what was executed, then what went wrong.

use crate::functions::Failure;

const START: &str = "HELM_ERR_START";
const END: &str = "HELM_ERR_END";

/// The error of a file that is no template.
pub(super) fn parse_error(path: &str, text: &str) -> String {
    let parts: Vec<&str> = text.split(": ").collect();
    match parts[..] {
        [_, place, ..] => format!("parse error at ({place}): {}", parts[parts.len() - 1]),
        _ => format!("parse error in ({path}): {text}"),
    }
}

/// One error of a chain, taken apart.
#[derive(PartialEq, Eq)]
struct Link<'t> {
    place: &'t str,
    executed: String,
    message: &'t str,
}

/// The error of a template that failed.
pub(super) fn execution_error(path: &str, failure: &Failure) -> String {
    let text = &failure.text;
    let mut tokens = text.splitn(3, ": ");
    let (Some(_), Some(place), Some(rest)) = (tokens.next(), tokens.next(), tokens.next()) else {
        return format!("execution error in ({path}): {text}");
    };
    // What `required` and `fail` say stands between marks.
    if let Some(start) = rest.find(START)
        && let Some(end) = rest.rfind(END)
        && start + START.len() <= end
    {
        return format!("execution error at ({place}): {}", &rest[start + START.len()..end]);
    }
    let mut links: Vec<Link<'_>> = Vec::new();
    for inner in failure.texts() {
        let Some(link) = link(inner) else { return text.clone() };
        if links.last() != Some(&link) {
            links.push(link);
        }
    }
    let mut out = String::new();
    for link in links {
        for (part, tail) in [(link.place, "\n  "), (link.executed.as_str(), "\n    "), (link.message, "\n")] {
            if !part.is_empty() {
                out.push_str(part);
                out.push_str(tail);
            }
        }
    }
    out.trim().to_owned()
}

fn link(text: &str) -> Option<Link<'_>> {
    let rest = text.strip_prefix("template: ")?;
    if rest.starts_with("no template ") {
        return Some(Link { place: "", executed: String::new(), message: text });
    }
    if let Some(link) = executing(rest) {
        return Some(link);
    }
    let (place, message) = rest.rsplit_once(": ")?;
    Some(Link { place, executed: String::new(), message: first(message) })
}

/// `place: executing "name" at <context>: message`.
fn executing(rest: &str) -> Option<Link<'_>> {
    let (place, after) = rest.split_once(": executing ")?;
    let (name, after) = after.strip_prefix('"')?.split_once('"')?;
    let (context, message) = after.strip_prefix(" at <")?.split_once(">: ")?;
    Some(Link { place, executed: format!("executing \"{name}\" at <{context}>:"), message: first(message) })
}

/// A message up to the next error of the chain.
fn first(message: &str) -> &str {
    message.split_once(" template:").map_or(message, |(before, _)| before)
}
