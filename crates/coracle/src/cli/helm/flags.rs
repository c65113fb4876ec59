//! Flags as Helm's own library reads them, with its wording of what is wrong. It knows no command.

use std::collections::HashMap;

use super::{Done, Fault};
use crate::output;

/// What a flag holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// On or off.
    Switch,
    /// One text; the last counts.
    Text,
    /// A whole number.
    Number,
    /// Such as `5m0s`.
    Duration,
    /// Every use adds one.
    List,
    /// Every use adds some, with commas between.
    Commas,
    /// `a=b,c=d`.
    Pairs,
    /// How to wait.
    Wait,
}

/// A flag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) short: Option<char>,
    pub(super) kind: Kind,
    pub(super) default: &'static str,
    /// What it means without a value, where it may have one.
    pub(super) bare: Option<&'static str>,
    pub(super) help: &'static str,
    /// What to say where it is used, since it goes away.
    pub(super) deprecated: Option<&'static str>,
}

pub(super) const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, kind: Kind::Switch, default: "false", bare: Some("true"), help, deprecated: None }
}

pub(super) const fn on(name: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, kind: Kind::Switch, default: "true", bare: Some("true"), help, deprecated: None }
}

pub(super) const fn of(kind: Kind, name: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, kind, default: "", bare: None, help, deprecated: None }
}

impl Flag {
    pub(super) const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    pub(super) const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    pub(super) const fn bare(mut self, bare: &'static str) -> Self {
        self.bare = Some(bare);
        self
    }

    pub(super) const fn deprecated(mut self, instead: &'static str) -> Self {
        self.deprecated = Some(instead);
        self
    }

    /// As an error names it.
    fn named(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.name),
            None => format!("--{}", self.name),
        }
    }

    fn check(&self, value: &str) -> Result<(), String> {
        let fault = match self.kind {
            Kind::Switch => {
                let known = ["1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"];
                (!known.contains(&value)).then(|| format!("strconv.ParseBool: parsing {value:?}: invalid syntax"))
            }
            Kind::Number => value.parse::<i64>().is_err().then(|| format!("strconv.ParseInt: parsing {value:?}: invalid syntax")),
            Kind::Duration => duration(value).is_none().then(|| format!("time: invalid duration {value:?}")),
            Kind::Pairs => value
                .split(',')
                .find(|pair| !pair.contains('=') && !value.is_empty())
                .map(|pair| format!("{pair} must be formatted as key=value")),
            Kind::Wait => {
                let known = ["watcher", "hookOnly", "legacy", "true", "false"];
                let valid = "Valid inputs are watcher, hookOnly, and legacy";
                (!known.contains(&value)).then(|| format!("invalid wait input {value:?}. {valid}"))
            }
            Kind::Text | Kind::List | Kind::Commas => None,
        };
        fault.map_or(Ok(()), |why| Err(format!("invalid argument {value:?} for {:?} flag: {why}", self.named())))
    }
}

/// A Go duration in nanoseconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let (sign, mut rest) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let scale = match &rest[..unit] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 6e10,
            "h" => 3.6e12,
            _ => return None,
        };
        total += number * scale;
        rest = &rest[unit..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "durations of the command line are small")]
    (!text.is_empty()).then_some((sign * total) as i64)
}

/// How many arguments a command takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arity {
    None,
    Exactly(usize),
    AtLeast(usize),
    AtMost(usize),
    Any,
}

impl Arity {
    pub(super) fn check(self, path: &str, usage: &str, count: usize) -> Done {
        let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
        let wanted = match self {
            Self::None if count > 0 => "accepts no arguments".to_owned(),
            Self::Exactly(wanted) if count != wanted => format!("requires {wanted} {}", plural(wanted)),
            Self::AtLeast(least) if count < least => format!("requires at least {least} {}", plural(least)),
            Self::AtMost(most) if count > most => format!("accepts at most {most} {}", plural(most)),
            _ => return Ok(()),
        };
        Err(Fault::new(format!("{path:?} {wanted}\n\nUsage:  {usage}")))
    }
}

/// A command.
pub(super) struct Verb {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    /// The line of its usage.
    pub(super) usage: &'static str,
    pub(super) short: &'static str,
    pub(super) arity: Arity,
    pub(super) flags: &'static [&'static [Flag]],
    pub(super) run: fn(&Matches) -> Done,
    pub(super) children: &'static [Verb],
}

impl Verb {
    /// What `--help` prints.
    pub(super) fn help(&self, path: &str) -> String {
        let mut text = format!("\n{}\n\nUsage:\n  {}\n", self.short, self.usage);
        if !self.children.is_empty() {
            text.push_str("\nAvailable Commands:\n");
            self.children.iter().for_each(|verb| text.push_str(&format!("  {:<12}{}\n", verb.name, verb.short)));
        }
        let mut flags: Vec<&Flag> = self.flags.iter().copied().flatten().collect();
        flags.sort_by_key(|flag| flag.name);
        flags.dedup_by_key(|flag| flag.name);
        text.push_str("\nFlags:\n");
        for flag in flags {
            let short = flag.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
            text.push_str(&format!("  {short}--{:<28} {}\n", flag.name, flag.help));
        }
        text.push_str(&format!("  -h, --{:<28} help for {}\n", "help", path.rsplit(' ').next().unwrap_or(path)));
        text
    }

    fn find(&self, name: &str) -> Option<&'static Flag> {
        self.flags.iter().copied().chain([GLOBAL]).flatten().find(|flag| flag.name == name)
    }

    fn find_short(&self, short: char) -> Option<&'static Flag> {
        self.flags.iter().copied().chain([GLOBAL]).flatten().find(|flag| flag.short == Some(short))
    }
}

/// Flags of every command.
pub(super) const GLOBAL: &[Flag] = &[
    switch("help", "help").short('h'),
    of(Kind::Text, "namespace", "namespace scope for this request").short('n'),
    of(Kind::Text, "kubeconfig", "path to the kubeconfig file"),
    of(Kind::Text, "kube-context", "name of the kubeconfig context to use"),
    of(Kind::Text, "kube-token", "bearer token used for authentication"),
    of(Kind::Text, "kube-as-user", "username to impersonate for the operation"),
    of(Kind::List, "kube-as-group", "group to impersonate for the operation"),
    of(Kind::Text, "kube-apiserver", "the address and the port for the Kubernetes API server"),
    of(Kind::Text, "kube-ca-file", "the certificate authority file for the Kubernetes API server connection"),
    of(Kind::Text, "kube-tls-server-name", "server name to use for certificate validation"),
    switch("kube-insecure-skip-tls-verify", "do not check the server's certificate"),
    switch("debug", "enable verbose output"),
    of(Kind::Text, "registry-config", "path to the registry config file"),
    of(Kind::Text, "repository-config", "path to the file containing repository names and URLs"),
    of(Kind::Text, "repository-cache", "path to the directory containing cached repository indexes"),
    of(Kind::Text, "content-cache", "path to the directory containing cached content (e.g. charts)"),
    of(Kind::Number, "burst-limit", "client-side default throttling limit").default("100"),
    of(Kind::Text, "qps", "queries per second used when communicating with the Kubernetes API"),
    of(Kind::Text, "color", "use colored output (never, auto, always)").default("auto"),
    of(Kind::Text, "colour", "use colored output (never, auto, always)").default("auto"),
];

/// Whether the word after a flag is its value.
pub(super) fn takes_next(word: &str, known: &[&[Flag]]) -> bool {
    let find = |test: &dyn Fn(&Flag) -> bool| known.iter().copied().flatten().find(|flag| test(flag)).copied();
    let flag = match word.strip_prefix("--") {
        Some(name) => find(&|flag| flag.name == name),
        None if word.len() == 2 => find(&|flag| flag.short == word.chars().nth(1)),
        None => None,
    };
    flag.is_some_and(|flag| flag.bare.is_none())
}

/// A command line, read.
#[derive(Default, Debug)]
pub(super) struct Matches {
    values: HashMap<&'static str, Vec<String>>,
    defaults: HashMap<&'static str, &'static str>,
    pub(super) arguments: Vec<String>,
}

impl Matches {
    pub(super) fn parse(verb: &'static Verb, words: &[String]) -> Result<Self, Fault> {
        let mut matches = Self::default();
        for flag in verb.flags.iter().copied().chain([GLOBAL]).flatten() {
            matches.defaults.entry(flag.name).or_insert(flag.default);
        }
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                matches.arguments.extend(words.cloned());
                break;
            }
            if let Some(rest) = word.strip_prefix("--") {
                if rest.starts_with(['-', '=']) {
                    return Err(Fault::new(format!("bad flag syntax: {word}")));
                }
                let (name, value) = rest.split_once('=').map_or((rest, None), |(name, value)| (name, Some(value)));
                let flag = verb.find(name).ok_or_else(|| Fault::new(format!("unknown flag: --{name}")))?;
                let value = match (value, flag.bare) {
                    (Some(value), _) => value.to_owned(),
                    (None, Some(bare)) => bare.to_owned(),
                    (None, None) => {
                        words.next().cloned().ok_or_else(|| Fault::new(format!("flag needs an argument: --{name}")))?
                    }
                };
                matches.take(flag, &value)?;
            } else if word.len() > 1 && word.starts_with('-') {
                matches.take_short(verb, word, &mut words)?;
            } else {
                matches.arguments.push(word.clone());
            }
        }
        Ok(matches)
    }

    fn take_short<'w>(&mut self, verb: &'static Verb, word: &str, words: &mut impl Iterator<Item = &'w String>) -> Done {
        let letters = &word[1..];
        let mut at = letters.char_indices();
        while let Some((place, letter)) = at.next() {
            let left = &letters[place..];
            let flag =
                verb.find_short(letter).ok_or_else(|| Fault::new(format!("unknown shorthand flag: {letter:?} in -{left}")))?;
            let rest = at.as_str();
            if let Some(value) = rest.strip_prefix('=') {
                return self.take(flag, value);
            }
            if let Some(bare) = flag.bare {
                self.take(flag, bare)?;
                continue;
            }
            if !rest.is_empty() {
                return self.take(flag, rest);
            }
            let value = words.next().ok_or_else(|| Fault::new(format!("flag needs an argument: {letter:?} in -{left}")))?;
            return self.take(flag, value);
        }
        Ok(())
    }

    fn take(&mut self, flag: &'static Flag, value: &str) -> Done {
        flag.check(value).map_err(Fault::new)?;
        if let Some(instead) = flag.deprecated.filter(|_| !self.said(flag.name)) {
            output::remark(&format!("Flag --{} has been deprecated, {instead}", flag.name));
        }
        let values = self.values.entry(flag.name).or_default();
        match flag.kind {
            Kind::List => values.push(value.to_owned()),
            Kind::Commas => values.extend(value.split(',').map(str::to_owned)),
            Kind::Pairs => values.extend(value.split(',').filter(|pair| !pair.is_empty()).map(str::to_owned)),
            _ => *values = vec![value.to_owned()],
        }
        Ok(())
    }

    /// Whether the command has such a flag.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.defaults.contains_key(name)
    }

    /// Whether it was said at all.
    pub(super) fn said(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.text(name), "1" | "t" | "T" | "true" | "TRUE" | "True")
    }

    pub(super) fn text(&self, name: &str) -> &str {
        let said = self.values.get(name).and_then(|values| values.last());
        said.map_or_else(|| self.defaults.get(name).copied().unwrap_or_default(), String::as_str)
    }

    pub(super) fn list(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn argument(&self, at: usize) -> &str {
        self.arguments.get(at).map_or("", String::as_str)
    }
}
