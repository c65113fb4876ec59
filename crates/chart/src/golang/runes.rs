//! Characters as Go sees them: bytes that are no UTF-8 read as U+FFFD one by one, and case is mapped one to one.

use std::sync::LazyLock;

/// What Go reads where there is no UTF-8.
pub const INVALID: char = char::REPLACEMENT_CHARACTER;

/// The first character of a text and how many bytes it takes; none of an empty text.
pub fn first(text: &[u8]) -> Option<(char, usize)> {
    let first = *text.first()?;
    if first < 0x80 {
        return Some((char::from(first), 1));
    }
    let chunk = text[..text.len().min(4)].utf8_chunks().next()?;
    Some(chunk.valid().chars().next().map_or((INVALID, 1), |character| (character, character.len_utf8())))
}

/// The last character of a text and how many bytes it takes; none of an empty text.
pub fn last(text: &[u8]) -> Option<(char, usize)> {
    for length in 1..=text.len().min(4) {
        let end = &text[text.len() - length..];
        if let Some((character, taken)) = first(end)
            && taken == length
            && (character != INVALID || length == 3)
        {
            return Some((character, length));
        }
    }
    (!text.is_empty()).then_some((INVALID, 1))
}

/// All characters with their places.
pub fn indices(text: &[u8]) -> impl Iterator<Item = (usize, char)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (character, length) = first(&text[at..])?;
        at += length;
        Some((at - length, character))
    })
}

/// All characters.
pub fn of(text: &[u8]) -> impl Iterator<Item = char> {
    indices(text).map(|(_, character)| character)
}

struct Ranges(Vec<(char, char)>);

impl Ranges {
    fn of(class: &str) -> Ranges {
        let hir = regex_syntax::parse(class).expect("a constant pattern");
        match hir.into_kind() {
            regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
                Ranges(class.ranges().iter().map(|range| (range.start(), range.end())).collect())
            }
            _ => Ranges(Vec::new()),
        }
    }

    fn contains(&self, character: char) -> bool {
        let index = self.0.partition_point(|(_, end)| *end < character);
        self.0.get(index).is_some_and(|(start, _)| *start <= character)
    }
}

macro_rules! category {
    ($(#[$doc:meta] $name:ident $table:ident $class:literal)*) => { $(
        static $table: LazyLock<Ranges> = LazyLock::new(|| Ranges::of($class));

        #[$doc]
        pub fn $name(character: char) -> bool {
            $table.contains(character)
        }
    )* };
}

category! {
    /// Whether it is an upper-case letter.
    is_upper UPPER r"\p{Lu}"
    /// Whether it is a lower-case letter.
    is_lower LOWER r"\p{Ll}"
    /// Whether it is a title-case letter.
    is_title TITLE r"\p{Lt}"
    /// Whether it is a letter.
    is_letter LETTER r"\p{L}"
    /// Whether it is a decimal digit.
    is_digit DIGIT r"\p{Nd}"
    /// Whether it is a number of any sort.
    is_number NUMBER r"\p{N}"
    /// Whether it is punctuation.
    is_punctuation PUNCTUATION r"\p{P}"
}

/// The upper-case form.
pub fn upper(character: char) -> char {
    let mut mapped = character.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        // Where the full mapping takes several characters, a few have one of their own too.
        _ => match u32::from(character) {
            0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7 => shift(character, 8),
            0x1fb3 | 0x1fc3 | 0x1ff3 => shift(character, 9),
            _ => character,
        },
    }
}

fn shift(character: char, by: u32) -> char {
    char::from_u32(u32::from(character) + by).unwrap_or(character)
}

/// The lower-case form.
pub fn lower(character: char) -> char {
    match character {
        'İ' => 'i',
        _ => character.to_lowercase().next().unwrap_or(character),
    }
}

/// The lower-case form of an upper-case letter; everything else as it is.
pub fn lower_of_upper(character: char) -> char {
    if is_upper(character) { lower(character) } else { character }
}

/// The title-case form.
pub fn title(character: char) -> char {
    match character {
        'Ǆ' | 'ǅ' | 'ǆ' => 'ǅ',
        'Ǉ' | 'ǈ' | 'ǉ' => 'ǈ',
        'Ǌ' | 'ǋ' | 'ǌ' => 'ǋ',
        'Ǳ' | 'ǲ' | 'ǳ' => 'ǲ',
        '\u{10d0}'..='\u{10fa}' | '\u{10fd}'..='\u{10ff}' => character,
        _ => upper(character),
    }
}

/// Each character mapped; what is no UTF-8 becomes U+FFFD.
pub fn map(text: &[u8], mapping: impl FnMut(char) -> char) -> String {
    of(text).map(mapping).collect()
}

/// Without what `unwanted` takes at both ends.
pub fn trim(text: &[u8], unwanted: impl Fn(char) -> bool) -> &[u8] {
    let mut rest = text;
    while let Some((_, length)) = first(rest).filter(|(character, _)| unwanted(*character)) {
        rest = &rest[length..];
    }
    while let Some((_, length)) = last(rest).filter(|(character, _)| unwanted(*character)) {
        rest = &rest[..rest.len() - length];
    }
    rest
}
