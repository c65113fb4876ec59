//! Texts: cut, padded, cased, split and joined. By bytes where Go counts bytes.

use super::shown::{plain, text_of, texts_of};
use super::{Call, Failure, Function, limits};
use crate::golang::{casing, runes, wrapping};
use crate::print::quote::quoted as go_quote;
use crate::value::{INT, List, Map, STRINGS, Str, Type, Value};

const TEXT: Type = Type::String;

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("abbrev", &[INT, TEXT], "Cuts a text to a width, with dots at the end.", abbrev),
    Function::fixed(
        "abbrevboth",
        &[INT, INT, TEXT],
        "Cuts a text to a width from an offset, with dots at both ends.",
        abbrevboth,
    ),
    Function::fixed("camelcase", &[TEXT], "Words joined in upper camel case.", |_, args| {
        Ok(casing::pascal(&args[0].as_text()).into())
    }),
    Function::many("cat", &[Type::Any], "Values joined by spaces, nils left out.", cat),
    Function::fixed("contains", &[TEXT, TEXT], "Whether the first text stands in the second.", contains),
    Function::fixed("hasPrefix", &[TEXT, TEXT], "Whether the second text starts with the first.", has_prefix),
    Function::fixed("hasSuffix", &[TEXT, TEXT], "Whether the second text ends with the first.", has_suffix),
    Function::fixed("hello", &[], "Says hello.", |_, _| Ok("Hello!".into())),
    Function::fixed("indent", &[INT, TEXT], "Every line moved right by spaces.", |_, args| Ok(indented(args, "")?.into())),
    Function::fixed("initials", &[TEXT], "The first byte of each word.", initials),
    Function::fixed("join", &[TEXT, Type::Any], "A list's texts with a separator between.", join),
    Function::fixed("kebabcase", &[TEXT], "Words in lower case joined by hyphens.", |_, args| {
        Ok(Str::from(casing::connected(&args[0].as_text(), '-')).into())
    }),
    Function::fixed("lower", &[TEXT], "In lower case.", |_, args| Ok(runes::map(&args[0].as_text(), runes::lower).into())),
    Function::fixed("nindent", &[INT, TEXT], "As indent, after a line end.", |_, args| Ok(indented(args, "\n")?.into())),
    Function::fixed("nospace", &[TEXT], "Without white space.", nospace),
    Function::fixed("plural", &[TEXT, TEXT, INT], "The first text for one, the second for any other count.", plural),
    Function::many("quote", &[Type::Any], "Values in double quotes, nils left out.", quote),
    Function::fixed("repeat", &[INT, TEXT], "A text so many times.", repeat),
    Function::fixed("replace", &[TEXT, TEXT, TEXT], "The first text replaced by the second in the third.", replace),
    Function::fixed("shuffle", &[TEXT], "The characters in random order.", shuffle),
    Function::fixed("snakecase", &[TEXT], "Words in lower case joined by underscores.", |_, args| {
        Ok(Str::from(casing::connected(&args[0].as_text(), '_')).into())
    }),
    Function::fixed("split", &[TEXT, TEXT], "The parts between a separator, as a map of _0, _1 and so on.", split),
    Function::fixed("splitList", &[TEXT, TEXT], "The parts between a separator, as a list.", split_list),
    Function::fixed("splitn", &[TEXT, INT, TEXT], "As split, with at most so many parts.", splitn),
    Function::many("squote", &[Type::Any], "Values in single quotes, nils left out.", squote),
    Function::fixed("substr", &[INT, INT, TEXT], "The bytes from a place to a place.", substr),
    Function::fixed("swapcase", &[TEXT], "Upper and lower case changed for each other.", swapcase),
    Function::fixed("title", &[TEXT], "Each word with a capital.", title),
    Function::fixed("toString", &[Type::Any], "A value as text.", |_, args| Ok(text_of(&args[0]).into())),
    Function::fixed("toStrings", &[Type::Any], "A list of a list's texts, nils left out.", to_strings),
    Function::fixed("trim", &[TEXT], "Without white space at both ends.", trim),
    Function::fixed("trimAll", &[TEXT, TEXT], "Without the characters of the first text at both ends of the second.", trim_all),
    Function::fixed("trimPrefix", &[TEXT, TEXT], "The second text without the first at its start.", trim_prefix),
    Function::fixed("trimSuffix", &[TEXT, TEXT], "The second text without the first at its end.", trim_suffix),
    Function::fixed("trimall", &[TEXT, TEXT], "As trimAll.", trim_all),
    Function::fixed("trunc", &[INT, TEXT], "The first bytes of a text, or the last for a negative count.", trunc),
    Function::fixed("untitle", &[TEXT], "Each word with a small first letter.", untitle),
    Function::fixed("upper", &[TEXT], "In upper case.", |_, args| Ok(runes::map(&args[0].as_text(), runes::upper).into())),
    Function::fixed("wrap", &[INT, TEXT], "Line ends put in at a width, between words.", |_, args| {
        Ok(Str::from(wrapping::wrap(&args[1].as_text(), args[0].as_int(), b"\n", false)).into())
    }),
    Function::fixed("wrapWith", &[INT, TEXT, TEXT], "A text put in at a width, also inside words that are too long.", wrap_with),
];

type Answer = Result<Value, Failure>;

fn bytes(bytes: &[u8]) -> Answer {
    Ok(Str::from(bytes).into())
}

fn abbrev(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let (width, text) = (args[0].as_int(), args[1].as_text());
    if width < 4 { Ok(text.into()) } else { bytes(&wrapping::abbreviate(&text, 0, width)) }
}

fn abbrevboth(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let (left, right, text) = (args[0].as_int(), args[1].as_int(), args[2].as_text());
    if right < 4 || left > 0 && right < 7 { Ok(text.into()) } else { bytes(&wrapping::abbreviate(&text, left, right)) }
}

fn cat(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let parts: Vec<Str> = args.iter().filter(|value| !value.is_nil()).map(plain).collect();
    bytes(&parts.join(&b' '))
}

fn contains(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(find(&args[1].as_text(), &args[0].as_text(), 0).is_some().into())
}

fn has_prefix(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(args[1].as_text().starts_with(&args[0].as_text()).into())
}

fn has_suffix(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(args[1].as_text().ends_with(&args[0].as_text()).into())
}

/// Where a text stands in another, from a place on.
fn find(text: &[u8], part: &[u8], from: usize) -> Option<usize> {
    memchr::memmem::find(&text[from..], part).map(|at| at + from)
}

fn indented(args: &[Value], before: &str) -> Result<Str, Failure> {
    let (pad, text) = (repeated(args[0].as_int(), b" ")?, args[1].as_text());
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    limits::text(pad.len().saturating_mul(lines + 1).saturating_add(text.len()))?;
    let mut out = Vec::with_capacity(text.len() + pad.len() * (lines + 1) + 1);
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(&pad);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(line);
        if line.ends_with(b"\n") {
            out.extend_from_slice(&pad);
        }
    }
    Ok(out.into())
}

fn repeated(count: i64, text: &[u8]) -> Result<Vec<u8>, Failure> {
    let Ok(count) = usize::try_from(count) else { return Err("strings: negative Repeat count".into()) };
    if text.len().checked_mul(count).is_none_or(|length| length > isize::MAX as usize) {
        return Err("strings: Repeat output length overflow".into());
    }
    limits::text(text.len() * count)?;
    Ok(text.repeat(count))
}

fn initials(_: &mut Call<'_>, args: &[Value]) -> Answer {
    // Go looks at single bytes here, and writes each as the character of its number.
    let mut gap = true;
    let mut out = String::new();
    for byte in args[0].as_text().iter() {
        let character = char::from(*byte);
        let white = character.is_whitespace();
        if gap && !white {
            out.push(character);
        }
        gap = white;
    }
    Ok(out.into())
}

fn nospace(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let text = args[0].as_text();
    let kept: String = text.iter().map(|byte| char::from(*byte)).filter(|character| !character.is_whitespace()).collect();
    // Where nothing is taken out the text stays; else each byte has become a character.
    if kept.chars().count() == text.len() { Ok(text.into()) } else { Ok(kept.into()) }
}

fn join(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let (separator, parts) = (args[0].as_text(), texts_of(&args[1]));
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    limits::text(length.saturating_add(separator.len().saturating_mul(parts.len())))?;
    bytes(&parts.join(separator.as_bytes()))
}

fn plural(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(args[usize::from(args[2].as_int() != 1)].clone())
}

fn quote(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let parts: Vec<String> = args.iter().filter(|value| !value.is_nil()).map(|value| go_quote(&text_of(value))).collect();
    Ok(parts.join(" ").into())
}

fn squote(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let quoted = |value: &Value| [b"'", &*plain(value), b"'"].concat();
    let parts: Vec<Vec<u8>> = args.iter().filter(|value| !value.is_nil()).map(quoted).collect();
    bytes(&parts.join(&b' '))
}

fn repeat(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(Str::from(repeated(args[0].as_int(), &args[1].as_text())?).into())
}

fn replace(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let (old, new, text) = (args[0].as_text(), args[1].as_text(), args[2].as_text());
    if old == new {
        return Ok(text.into());
    }
    let mut cuts = vec![0];
    if old.is_empty() {
        cuts = runes::indices(&text).map(|(at, _)| at).chain([text.len()]).collect();
        limits::text(text.len().saturating_add(new.len().saturating_mul(cuts.len())))?;
        let mut out = Vec::new();
        for (index, at) in cuts.iter().enumerate() {
            out.extend_from_slice(&new);
            out.extend_from_slice(&text[*at..*cuts.get(index + 1).unwrap_or(at)]);
        }
        return bytes(&out);
    }
    while let Some(at) = find(&text, &old, cuts[cuts.len() - 1]) {
        cuts.push(at + old.len());
    }
    limits::text(text.len().saturating_add(new.len().saturating_mul(cuts.len())))?;
    let mut out = Vec::with_capacity(text.len());
    for pair in cuts.windows(2) {
        out.extend_from_slice(&text[pair[0]..pair[1] - old.len()]);
        out.extend_from_slice(&new);
    }
    out.extend_from_slice(&text[cuts[cuts.len() - 1]..]);
    bytes(&out)
}

fn shuffle(call: &mut Call<'_>, args: &[Value]) -> Answer {
    let mut characters: Vec<char> = runes::of(&args[0].as_text()).collect();
    for index in (1..characters.len()).rev() {
        let other = super::random::below(call, index as u64 + 1) as usize;
        characters.swap(index, other);
    }
    Ok(characters.into_iter().collect::<String>().into())
}

/// The parts between a separator, at most `limit` where it is not negative; an empty separator cuts at each character.
fn parts(text: &[u8], separator: &[u8], limit: i64) -> Vec<Str> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut out = Vec::new();
    if limit == 0 {
        return out;
    }
    let mut rest = text;
    while out.len() + 1 < limit {
        let (length, taken) = if separator.is_empty() {
            match runes::first(rest) {
                Some((_, length)) if length < rest.len() => (length, length),
                _ => break,
            }
        } else {
            match find(rest, separator, 0) {
                Some(at) => (at, at + separator.len()),
                None => break,
            }
        };
        out.push(Str::from(&rest[..length]));
        rest = &rest[taken..];
    }
    if !separator.is_empty() || !rest.is_empty() {
        out.push(Str::from(rest));
    }
    out
}

fn numbered(parts: Vec<Str>) -> Value {
    const STRING_MAP: Type = Type::Map(&Type::String);
    let entries = parts.into_iter().enumerate().map(|(index, part)| (Str::from(format!("_{index}")), part.into()));
    Map::of(STRING_MAP, entries.collect()).into()
}

fn split(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(numbered(parts(&args[1].as_text(), &args[0].as_text(), -1)))
}

fn split_list(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(List::strings(parts(&args[1].as_text(), &args[0].as_text(), -1)).into())
}

fn splitn(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(numbered(parts(&args[2].as_text(), &args[0].as_text(), args[1].as_int())))
}

fn substr(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let (start, end, text) = (args[0].as_int(), args[1].as_int(), args[2].as_text());
    let length = text.len() as i64;
    if start < 0 {
        return sliced(&text, 0, end);
    }
    if end < 0 || end > length { sliced(&text, start, length) } else { sliced(&text, start, end) }
}

/// A part of a text, with the errors of Go's slicing.
fn sliced(text: &[u8], start: i64, end: i64) -> Answer {
    let length = text.len() as i64;
    let panic = |problem: String| Err(Failure::new(format!("runtime error: slice bounds out of range {problem}")));
    if end < 0 {
        return panic(format!("[:{end}]"));
    }
    if end > length {
        return panic(format!("[:{end}] with length {length}"));
    }
    if start > end {
        return panic(format!("[{start}:{end}]"));
    }
    bytes(&text[start as usize..end as usize])
}

fn swapcase(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let mut after_space = true;
    let swap = |character: char| {
        if runes::is_upper(character) || runes::is_title(character) {
            after_space = false;
            return runes::lower(character);
        }
        if runes::is_lower(character) {
            let first = std::mem::replace(&mut after_space, false);
            return if first { runes::title(character) } else { runes::upper(character) };
        }
        after_space = character.is_whitespace();
        character
    };
    Ok(runes::map(&args[0].as_text(), swap).into())
}

fn title(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let mut before = ' ';
    let mapping = |character: char| {
        let separated = is_separator(std::mem::replace(&mut before, character));
        if separated { runes::title(character) } else { character }
    };
    Ok(runes::map(&args[0].as_text(), mapping).into())
}

fn is_separator(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_alphanumeric() && character != '_';
    }
    !runes::is_letter(character) && !runes::is_digit(character) && character.is_whitespace()
}

fn untitle(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let mut at_start = true;
    let mapping = |character: char| {
        if character.is_whitespace() {
            at_start = true;
            return character;
        }
        if std::mem::replace(&mut at_start, false) { runes::lower(character) } else { character }
    };
    Ok(runes::map(&args[0].as_text(), mapping).into())
}

fn to_strings(_: &mut Call<'_>, args: &[Value]) -> Answer {
    match &args[0] {
        Value::List(list) if list.go_type() == STRINGS => Ok(args[0].clone()),
        value => Ok(List::strings(texts_of(value)).into()),
    }
}

fn trim(_: &mut Call<'_>, args: &[Value]) -> Answer {
    bytes(runes::trim(&args[0].as_text(), char::is_whitespace))
}

fn trim_all(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let unwanted: Vec<char> = runes::of(&args[0].as_text()).collect();
    bytes(runes::trim(&args[1].as_text(), |character| unwanted.contains(&character)))
}

fn trim_prefix(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let (prefix, text) = (args[0].as_text(), args[1].as_text());
    bytes(text.strip_prefix(prefix.as_bytes()).unwrap_or(&text))
}

fn trim_suffix(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let (suffix, text) = (args[0].as_text(), args[1].as_text());
    bytes(text.strip_suffix(suffix.as_bytes()).unwrap_or(&text))
}

fn trunc(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let (count, text) = (args[0].as_int(), args[1].as_text());
    let length = text.len() as i64;
    if count < 0 && length + count > 0 {
        return bytes(&text[(length + count) as usize..]);
    }
    if count >= 0 && length > count { bytes(&text[..count as usize]) } else { Ok(text.into()) }
}

fn wrap_with(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let (width, separator, text) = (args[0].as_int(), args[1].as_text(), args[2].as_text());
    limits::text(text.len().saturating_add(separator.len().saturating_mul(text.len() / width.max(1) as usize + 1)))?;
    bytes(&wrapping::wrap(&text, width, &separator, true))
}
