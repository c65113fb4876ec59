//! Semantic versions: read, and checked by constraints.

use std::any::Any;

use super::{Call, Failure, Function};
use crate::print::quote::quoted;
use crate::semver::{Constraint, Version};
use crate::value::{Object, Str, Type, UintKind, Value};

const TEXT: Type = Type::String;

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("semver", &[TEXT], "A version, with its parts as methods.", semver),
    Function::fixed("semverCompare", &[TEXT, TEXT], "Whether a version satisfies a constraint.", semver_compare),
];

type Answer = Result<Value, Failure>;

/// The type as Go prints it.
const TYPE: Type = Type::Object("*semver.Version");

fn failure(error: impl std::error::Error) -> Failure {
    Failure::new(error.to_string())
}

fn semver(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(Value::object(SemVer(Version::parse(&args[0].as_text().lossy()).map_err(failure)?)))
}

fn semver_compare(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let text = args[0].as_text();
    if text.as_str().is_none() {
        // No constraint has such bytes; the error shows them.
        let groups = text.split(|byte| *byte == b'|').filter(|group| std::str::from_utf8(group).is_err());
        let shown = groups.map(quoted).next().unwrap_or_default();
        return Err(Failure::new(format!("improper constraint: {shown}")));
    }
    let constraint = Constraint::parse(&text.lossy()).map_err(failure)?;
    let version = Version::parse(&args[1].as_text().lossy()).map_err(failure)?;
    Ok(constraint.check(&version).into())
}

/// What is left of a version that Go copies field by field: nothing, since its fields are its own affair.
pub fn copied(value: &Value) -> Option<Value> {
    value.downcast::<SemVer>()?;
    let (prerelease, metadata, original) = Default::default();
    Some(Value::object(SemVer(Version { major: 0, minor: 0, patch: 0, prerelease, metadata, original })))
}

/// A version as templates hold it.
#[derive(Debug)]
struct SemVer(Version);

impl Object for SemVer {
    fn type_name(&self) -> &'static str {
        "*semver.Version"
    }

    fn methods(&self) -> &'static [Function] {
        METHODS
    }

    fn print(&self) -> Option<Str> {
        Some(self.0.to_string().into())
    }

    fn to_json(&self) -> Value {
        self.0.to_string().into()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

const METHODS: &[Function] = &[
    Function::fixed("Compare", &[TYPE], "The order, as -1, 0 or 1.", |_, args| Ok(Value::int(order(args)? as i64))),
    Function::fixed("Equal", &[TYPE], "Whether both are of one precedence.", |_, args| Ok(order(args)?.is_eq().into())),
    Function::fixed("GreaterThan", &[TYPE], "Whether it comes after.", |_, args| Ok(order(args)?.is_gt().into())),
    Function::fixed("GreaterThanEqual", &[TYPE], "Whether it does not come before.", |_, args| Ok(order(args)?.is_ge().into())),
    Function::fixed("LessThan", &[TYPE], "Whether it comes before.", |_, args| Ok(order(args)?.is_lt().into())),
    Function::fixed("LessThanEqual", &[TYPE], "Whether it does not come after.", |_, args| Ok(order(args)?.is_le().into())),
    Function::fixed("Major", &[], "The first number.", |_, args| Ok(number(own(args)?.major))),
    Function::fixed("Minor", &[], "The second number.", |_, args| Ok(number(own(args)?.minor))),
    Function::fixed("Patch", &[], "The third number.", |_, args| Ok(number(own(args)?.patch))),
    Function::fixed("Prerelease", &[], "What follows the hyphen.", |_, args| Ok(own(args)?.prerelease.as_str().into())),
    Function::fixed("Metadata", &[], "What follows the plus sign.", |_, args| Ok(own(args)?.metadata.as_str().into())),
    Function::fixed("Original", &[], "As it was written.", |_, args| Ok(own(args)?.original.as_str().into())),
    Function::fixed("String", &[], "In full.", |_, args| Ok(own(args)?.to_string().into())),
    Function::fixed("IncMajor", &[], "The next major version.", |_, args| {
        bumped(args, |version| {
            (version.minor, version.patch) = (0, 0);
            version.major.checked_add(1).map(|next| version.major = next).ok_or("major")
        })
    }),
    Function::fixed("IncMinor", &[], "The next minor version.", |_, args| {
        bumped(args, |version| {
            version.patch = 0;
            version.minor.checked_add(1).map(|next| version.minor = next).ok_or("minor")
        })
    }),
    Function::fixed("IncPatch", &[], "The next patch version, or the release of a pre-release.", |_, args| {
        bumped(args, |version| {
            if !version.prerelease.is_empty() {
                return Ok(());
            }
            version.patch.checked_add(1).map(|next| version.patch = next).ok_or("patch")
        })
    }),
];

fn number(number: u64) -> Value {
    Value::Uint(number, UintKind::Uint64)
}

fn version(value: Option<&Value>) -> Result<&Version, Failure> {
    let version = value.and_then(|value| value.downcast::<SemVer>()).map(|version| &version.0);
    version.ok_or_else(|| super::lists::NIL_TYPE.into())
}

fn own(args: &[Value]) -> Result<&Version, Failure> {
    version(args.first())
}

fn order(args: &[Value]) -> Result<std::cmp::Ordering, Failure> {
    Ok(own(args)?.precedence(version(args.get(1))?))
}

fn bumped(args: &[Value], change: fn(&mut Version) -> Result<(), &'static str>) -> Answer {
    let mut next = own(args)?.clone();
    change(&mut next).map_err(|which| Failure::new(format!("{which} version increment would overflow uint64")))?;
    (next.prerelease, next.metadata) = (String::new(), String::new());
    let prefix = if next.original.starts_with('v') { "v" } else { "" };
    next.original = format!("{prefix}{next}");
    Ok(Value::object(SemVer(next)))
}
