//! Paths with slashes, by their text alone. Both families of names mean the same here, as they do for Helm on Linux.

use super::{Call, Failure, Function};
use crate::value::{Str, Type, Value};

const TEXT: Type = Type::String;

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("base", &[TEXT], "The last part of a path.", base),
    Function::fixed("clean", &[TEXT], "The shortest path that means the same.", clean),
    Function::fixed("dir", &[TEXT], "All but the last part of a path.", dir),
    Function::fixed("ext", &[TEXT], "The ending of a path's last part, with its dot.", ext),
    Function::fixed("isAbs", &[TEXT], "Whether a path starts at the root.", is_abs),
    Function::fixed("osBase", &[TEXT], "As base.", base),
    Function::fixed("osClean", &[TEXT], "As clean.", clean),
    Function::fixed("osDir", &[TEXT], "As dir.", dir),
    Function::fixed("osExt", &[TEXT], "As ext.", ext),
    Function::fixed("osIsAbs", &[TEXT], "As isAbs.", is_abs),
];

type Answer = Result<Value, Failure>;

fn text(bytes: &[u8]) -> Answer {
    Ok(Str::from(bytes).into())
}

fn base(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let path = args[0].as_text();
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
    if end == 0 {
        return text(if path.is_empty() { b"." } else { b"/" });
    }
    let start = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    text(&path[start..end])
}

fn cleaned(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => drop(parts.pop()),
            b".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

fn clean(_: &mut Call<'_>, args: &[Value]) -> Answer {
    text(&cleaned(&args[0].as_text()))
}

fn dir(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let path = args[0].as_text();
    let end = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    text(&cleaned(&path[..end]))
}

fn ext(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let path = args[0].as_text();
    let at = path.iter().rposition(|byte| matches!(byte, b'/' | b'.')).filter(|at| path[*at] == b'.');
    text(at.map_or(&[], |at| &path[at..]))
}

fn is_abs(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok((args[0].as_text().first() == Some(&b'/')).into())
}
