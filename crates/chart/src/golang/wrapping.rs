//! Breaking a text into lines and cutting it short, by bytes, as Masterminds' goutils do.

/// Wraps at `width` bytes. Where `long_words` is set, words that do not fit are broken too.
pub fn wrap(text: &[u8], width: i64, new_line: &[u8], long_words: bool) -> Vec<u8> {
    let width = usize::try_from(width.max(1)).unwrap_or(usize::MAX);
    let new_line = if new_line.is_empty() { b"\n" } else { new_line };
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while rest.len() > width {
        if rest[0] == b' ' {
            rest = &rest[1..];
            continue;
        }
        let (line, taken) = match rest[..=width].iter().rposition(|byte| *byte == b' ') {
            Some(space) => (space, space + 1),
            None if long_words => (width, width),
            None => match rest[width..].iter().position(|byte| *byte == b' ') {
                Some(space) => (width + space, width + space + 1),
                None => {
                    out.extend_from_slice(rest);
                    return out;
                }
            },
        };
        out.extend_from_slice(&rest[..line]);
        out.extend_from_slice(new_line);
        rest = &rest[taken..];
    }
    out.extend_from_slice(rest);
    out
}

const MARK: &[u8] = b"...";

/// Cuts to `width` bytes with dots, around `left`. Empty where the width is too small for both.
pub fn abbreviate(text: &[u8], left: i64, width: i64) -> Vec<u8> {
    let length = text.len() as i64;
    if text.is_empty() || width < 4 {
        return Vec::new();
    }
    if length <= width {
        return text.to_vec();
    }
    let mut left = left.min(length);
    if length - left < width - 3 {
        left = length - (width - 3);
    }
    if left <= 4 {
        return [&text[..(width - 3) as usize], MARK].concat();
    }
    if width < 7 {
        return Vec::new();
    }
    if left + width - 3 < length {
        return [MARK, &abbreviate(&text[left as usize..], 0, width - 3)].concat();
    }
    [MARK, &text[(length - (width - 3)) as usize..]].concat()
}
