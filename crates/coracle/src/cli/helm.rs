//! `coracle helm …`: Helm's commands with Helm's flags, output and exit codes, so that someone may alias `helm` to it.
//! It reads the command line itself, since Helm's users and scripts know the wording of its refusals.

mod atomic;
mod chart_files;
mod connect;
mod create;
mod credentials;
mod dependency;
mod download;
mod fetch;
mod flags;
mod lint;
mod list;
mod locate;
mod options;
mod package;
mod post_render;
mod prompt;
mod provenance;
mod pull;
mod push;
mod registry;
mod release;
mod repo;
mod report;
mod repositories;
mod search;
mod settings;
mod show;
mod supply;
mod table;
mod tables;
mod template;
mod version;
mod world;

use std::ffi::OsString;

use crate::output;
use flags::{Matches, Verb};

/// What is wrong, as Helm words it.
#[derive(Debug)]
pub(in crate::cli::helm) struct Fault {
    text: String,
    /// A line behind it.
    hint: Option<String>,
}

impl Fault {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), hint: None }
    }
}

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

type Done = Result<(), Fault>;

/// Helm's own arguments.
#[derive(clap::Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub struct Arguments {
    /// As for `helm`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

/// Does what was asked; ends the process where Helm would.
///
/// # Errors
/// Never: faults are told in Helm's own form.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let words: Vec<String> = arguments.arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Err(fault) = dispatch(&words) {
        output::remark(&format!("Error: {}", fault.text));
        if let Some(hint) = fault.hint {
            output::remark(&hint);
        }
        std::process::exit(1);
    }
    Ok(())
}

fn dispatch(words: &[String]) -> Done {
    let mut path = String::from("helm");
    let mut level: &'static [Verb] = table::VERBS;
    let mut found: Option<&'static Verb> = None;
    let mut rest = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word.starts_with('-') && word.len() > 1 {
            rest.push(word.clone());
            let known = found.map_or(flags::GLOBAL, |verb| verb.flags.first().copied().unwrap_or_default());
            if flags::takes_next(word, &[known, flags::GLOBAL]) {
                rest.extend(words.next().cloned());
            }
            continue;
        }
        match level.iter().find(|verb| verb.name == word || verb.aliases.contains(&word.as_str())) {
            Some(verb) if found.is_none_or(|found| !found.children.is_empty()) => {
                path = format!("{path} {}", verb.name);
                level = verb.children;
                found = Some(verb);
                if verb.children.is_empty() {
                    rest.extend(words.cloned());
                    break;
                }
            }
            _ => {
                rest.push(word.clone());
                rest.extend(words.cloned());
                break;
            }
        }
    }
    let Some(verb) = found else { return no_verb(&rest) };
    let matches = Matches::parse(verb, &rest)?;
    if matches.flag("help") || !verb.children.is_empty() {
        output::text(&verb.help(&path));
        return Ok(());
    }
    verb.arity.check(&path, verb.usage, matches.arguments.len())?;
    (verb.run)(&matches)
}

fn no_verb(words: &[String]) -> Done {
    match words.iter().find(|word| !word.starts_with('-')) {
        None => {
            let names: Vec<String> = table::VERBS.iter().map(|verb| format!("  {:<12}{}", verb.name, verb.short)).collect();
            output::text(&format!("Usage:\n  helm [command]\n\nAvailable Commands:\n{}\n", names.join("\n")));
            Ok(())
        }
        Some(word) => Err(Fault {
            text: format!("unknown command {word:?} for \"helm\"{}", table::similar(word)),
            hint: Some("Run 'helm --help' for usage.".to_owned()),
        }),
    }
}
