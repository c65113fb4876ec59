//! Words of identifiers: camel, snake and kebab case, split the way charts have come to rely on.

use super::runes;

fn is_connector(character: char) -> bool {
    matches!(character, '-' | '_') || character.is_whitespace()
}

/// `some_words` → `SomeWords`; connectors at the start and all but one of a row stay.
pub fn pascal(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    let characters: Vec<char> = runes::of(text).collect();
    let Some(start) = characters.iter().position(|character| !is_connector(*character)) else {
        // Of connectors alone the last comes twice, since it is also the character in hand at the end.
        out.extend(&characters);
        out.extend(characters.last());
        return out;
    };
    out.extend(&characters[..start]);
    let rest = &characters[start + 1..];
    let mut run_of_upper = runes::is_upper(characters[start]);
    let mut current = runes::upper(characters[start]);
    if rest.is_empty() {
        out.push(current);
        return out;
    }
    for next in rest {
        let previous = std::mem::replace(&mut current, *next);
        match (is_connector(previous), is_connector(current)) {
            (true, true) => out.push(previous),
            (true, false) => {
                run_of_upper = runes::is_upper(current);
                current = runes::upper(current);
            }
            (false, _) => {
                if run_of_upper {
                    if runes::is_upper(current) {
                        current = runes::lower(current);
                    } else {
                        run_of_upper = false;
                    }
                }
                out.push(previous);
            }
        }
    }
    out.push(current);
    out
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    None,
    Number,
    Upper,
    Alphabet,
    Connector,
    Punctuation,
    Plain,
}

impl Word {
    fn breaks(self) -> bool {
        matches!(self, Word::Connector | Word::Punctuation)
    }

    fn joins_number(self) -> bool {
        matches!(self, Word::Alphabet | Word::Number)
    }
}

/// Whether it is a letter, ideographs left out.
fn is_alphabet(character: char) -> bool {
    let ideograph = matches!(character, '\u{3400}'..='\u{4d85}' | '\u{4e00}'..='\u{9fcc}' | '\u{20000}'..='\u{2b81d}');
    runes::is_letter(character) && !ideograph
}

/// `HTTPServer2xx` → `http_server_2xx`, with a connector of choice.
pub fn connected(text: &[u8], connector: char) -> Vec<u8> {
    let mut words = Words { out: Vec::with_capacity(text.len() + 8), connector, kind: Word::None, word: &[], rest: text };
    words.advance();
    while !words.rest.is_empty() {
        words.step();
    }
    words.write(words.kind, words.word);
    words.out
}

struct Words<'a> {
    out: Vec<u8>,
    connector: char,
    kind: Word,
    word: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    fn advance(&mut self) {
        let length;
        (self.kind, length) = next_word(self.rest);
        (self.word, self.rest) = self.rest.split_at(length);
    }

    /// Writes the word in hand, and decides what stands between it and the next.
    fn step(&mut self) {
        if self.kind != Word::Connector {
            self.write(self.kind, self.word);
        }
        let (previous, last) = (self.kind, self.word);
        self.advance();
        match previous {
            Word::Number => self.join_to_number(),
            Word::Connector => self.write(previous, last),
            Word::Punctuation => {}
            _ if self.kind != Word::Number => self.connect(),
            _ if self.rest.is_empty() => {}
            _ => self.number_inside(),
        }
    }

    /// Letters right after a number belong to it.
    fn join_to_number(&mut self) {
        while self.kind.joins_number() {
            self.write(self.kind, self.word);
            self.advance();
        }
        if self.kind != Word::None {
            self.connect();
        }
    }

    /// A number between letters goes with what follows in lower case, else with what stood before.
    fn number_inside(&mut self) {
        let number = self.word;
        self.advance();
        if self.kind != Word::Alphabet {
            self.write(Word::Number, number);
            self.connect();
            return;
        }
        self.put(self.connector);
        self.write(Word::Number, number);
        self.join_to_number();
    }

    fn connect(&mut self) {
        if !self.kind.breaks() {
            self.put(self.connector);
        }
    }

    fn put(&mut self, character: char) {
        self.out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn write(&mut self, kind: Word, word: &'a [u8]) {
        if !matches!(kind, Word::Upper | Word::Connector) {
            self.out.extend_from_slice(word);
            return;
        }
        for character in runes::of(word) {
            self.put(if is_connector(character) { self.connector } else { runes::lower_of_upper(character) });
        }
    }
}

/// The next character that is UTF-8, with what was passed over; `before` where there is none.
fn next_valid(text: &[u8], before: char) -> (char, usize) {
    let mut size = 0;
    while let Some((character, length)) = runes::first(&text[size..]) {
        size += length;
        if character != runes::INVALID {
            return (character, size);
        }
    }
    (before, size)
}

/// How far a run goes on from `at`, and the size and value of the last character looked at.
fn run(text: &[u8], mut at: usize, mut character: char, belongs: impl Fn(char) -> bool) -> usize {
    while at < text.len() {
        let (next, size) = next_valid(&text[at..], character);
        character = next;
        if !belongs(next) {
            break;
        }
        at += size;
    }
    at
}

fn next_word(text: &[u8]) -> (Word, usize) {
    if text.is_empty() {
        return (Word::None, 0);
    }
    let (character, size) = next_valid(text, runes::INVALID);
    let lower_case = |next: char| is_alphabet(next) && !runes::is_upper(next);
    match character {
        runes::INVALID => (Word::None, size),
        _ if is_connector(character) => (Word::Connector, run(text, size, character, is_connector)),
        _ if runes::is_punctuation(character) => (Word::Punctuation, run(text, size, character, runes::is_punctuation)),
        _ if runes::is_upper(character) => (Word::Upper, upper_word(text, size, character)),
        _ if is_alphabet(character) => (Word::Alphabet, run(text, size, character, lower_case)),
        _ if runes::is_number(character) => (Word::Number, run(text, size, character, runes::is_number)),
        _ => {
            let other =
                |next: char| !is_connector(next) && !is_alphabet(next) && !runes::is_number(next) && !runes::is_punctuation(next);
            (Word::Plain, run(text, size, character, other))
        }
    }
}

/// `HTTPServer` is `HTTP` and `Server`; `Server` is one word.
fn upper_word(text: &[u8], size: usize, character: char) -> usize {
    if size == text.len() {
        return size;
    }
    let (second, _) = next_valid(&text[size..], character);
    if !runes::is_upper(second) {
        return if is_alphabet(second) {
            run(text, size, character, |next| is_alphabet(next) && !runes::is_upper(next))
        } else {
            size
        };
    }
    let (mut at, mut last_size, mut last) = (size, 0, character);
    let mut stopped = None;
    while at < text.len() {
        let (next, length) = next_valid(&text[at..], last);
        last = next;
        if !runes::is_upper(next) {
            stopped = Some(next);
            break;
        }
        (at, last_size) = (at + length, length);
    }
    if stopped.is_some_and(is_alphabet) { at - last_size } else { at }
}
