//! The order of keys as go-yaml sorts them: numbers inside words count as numbers. It never changes keys.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Which of go-yaml's two generations sorts; they differ where a letter meets a digit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Generation {
    /// yaml.v2, behind `toYaml`.
    Second,
    /// yaml.v3, behind `toYamlPretty`.
    Third,
}

/// Sorts entries by their keys. go-yaml's order is no total one (long digits overflow, letters beside digits), which
/// the standard library's sort does not allow; a plain merge takes whatever it gets.
pub(super) fn sort<T>(entries: Vec<T>, key: impl Fn(&T) -> &str + Copy, generation: Generation) -> Vec<T> {
    if entries.len() < 2 {
        return entries;
    }
    let mut front = entries;
    let back = front.split_off(front.len() / 2);
    let mut front = sort(front, key, generation).into_iter().peekable();
    let mut back = sort(back, key, generation).into_iter().peekable();
    let mut out = Vec::with_capacity(front.len() + back.len());
    while let (Some(left), Some(right)) = (front.peek(), back.peek()) {
        let from_back = less(key(right), key(left), generation);
        out.extend(if from_back { back.next() } else { front.next() });
    }
    out.extend(front);
    out.extend(back);
    out
}

fn is_letter(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphabetic() } else { c.general_category_group() == GeneralCategoryGroup::Letter }
}

fn is_digit(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_digit() } else { c.general_category() == GeneralCategory::DecimalNumber }
}

fn less(a: &str, b: &str, generation: Generation) -> bool {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut after_digit = false;
    for at in 0..a.len().min(b.len()) {
        if a[at] == b[at] {
            after_digit = is_digit(a[at]);
            continue;
        }
        let (a_letter, b_letter) = (is_letter(a[at]), is_letter(b[at]));
        if a_letter && b_letter {
            return a[at] < b[at];
        }
        if a_letter || b_letter {
            return if after_digit && generation == Generation::Third { a_letter } else { b_letter };
        }
        let mut start = 0;
        if a[at] == '0' || b[at] == '0' {
            let before = a[..at].iter().rev().take_while(|c| is_digit(**c));
            start = i64::from(before.into_iter().any(|c| *c != '0'));
        }
        let (a_number, a_end) = number(&a, at, start);
        let (b_number, b_end) = number(&b, at, start);
        if a_number != b_number {
            return a_number < b_number;
        }
        if a_end != b_end {
            return a_end < b_end;
        }
        return a[at] < b[at];
    }
    a.len() < b.len()
}

/// Wraps around as Go's int64 does; `start` stands in for digits before `from`.
fn number(text: &[char], from: usize, start: i64) -> (i64, usize) {
    let mut value = start;
    let mut at = from;
    while at < text.len() && is_digit(text[at]) {
        let digit = i64::from(u32::from(text[at])) - i64::from(u32::from('0'));
        value = value.wrapping_mul(10).wrapping_add(digit);
        at += 1;
    }
    (value, at)
}
