//! Argument expressions of all sorts, as text of a template.

use super::seed::Seed;

/// A text as a Go literal.
pub fn quoted(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => out.extend(['\\', character]),
                '\n' => out.push_str("\\n"),
                '\u{feff}' => out.push_str("\\ufeff"),
                _ if (character as u32) < 0x20 || character == '\u{7f}' => out.push_str(&format!("\\x{:02x}", character as u32)),
                _ => out.push(character),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

const WORDS: &[&str] = &[
    "",
    "a",
    "b",
    "abc",
    "foo bar",
    "Hello World",
    "hello",
    "foo",
    " x ",
    "  padded\t\n",
    "line one\nline two\n",
    "a,b,c",
    "a.b.c",
    "$foo$",
    "123",
    "-7",
    "0",
    "1.5",
    "1e3",
    "0x1F",
    "017",
    "0o17",
    "0b11",
    "1_000",
    "12.00",
    "true",
    "false",
    "null",
    "nil",
    "yes",
    "~",
    "äöü ß",
    "日本語テキスト",
    "ǆungla Ǆ",
    "Привет, мир",
    "İstanbul",
    "ﬁne",
    "ῼ ᾳ",
    "\u{1f600} smile",
    "e\u{301}",
    "a\u{a0}b\u{2003}c",
    "\u{0}nul",
    "quote\"and\\slash",
    "it's",
    "<b>&amp;</b>",
    "http_server",
    "HTTPServer2xx",
    "NoHTTPS",
    "GO_PATH",
    "FirstName",
    "first-name",
    "Duration2m3s",
    "Bld4Floor3rd",
    "--__--",
    "some words here",
    "this is a long text that has to be wrapped somewhere around here",
    "averyveryverylongwordthatdoesnotfitanywhere",
    "path/to/file.txt",
    "/abs/./x/../y/",
    "key: value\nlist:\n- 1\n- two\n",
    "{\"a\": [1, 2.5, null], \"b\": {\"c\": \"d\"}}",
    "[1, \"x\", null]",
    "[]",
    "{}",
    "- a\n- b\n",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "1e400",
    "NaN",
    "+Inf",
    "-inf",
    "Infinity",
    ".5",
    "5.",
    "+3",
    "1h30m",
    "3s",
    "-1.5h",
    "300ms",
    "\u{2028}sep",
    "tab\there",
    "\r\nwindows\r\n",
    "aaaa",
    "abcabc",
    "A",
    "Z",
    "z",
    "é",
];

/// A text of any sort.
pub fn text(seed: &mut Seed) -> String {
    if seed.percent(4) {
        return quoted(seed.of::<&[u8]>(&[b"\xff", b"a\xc3", b"\xe2\x82", b"ok\xfe\xffok", b"\x80abc", b"\xf0\x9f\x98"]));
    }
    if seed.percent(14) {
        const PIECES: &[&str] = &[
            "a",
            "B",
            "c1",
            "_",
            "-",
            " ",
            ".",
            "é",
            "Ü",
            "ß",
            "1",
            "23",
            "X",
            "yz",
            "HTTP",
            "日",
            "\u{1f600}",
            "\n",
            "\t",
            "\"",
            "'",
            "$",
            "/",
            ":",
            "%",
            "ǆ",
            "İ",
            "K",
            "ſ",
            "\u{345}",
            "ῳ",
            "\u{85}",
            "\u{feff}",
            "\u{3000}",
            "0",
            "x",
            "=",
            "{",
            "}",
            "[",
            "]",
            "#",
            "&",
            "<",
            "\\",
        ];
        let pieces: String = (0..seed.below(9)).map(|_| *seed.of(PIECES)).collect();
        return quoted(pieces.as_bytes());
    }
    if seed.percent(12) {
        let both = format!("{}{}", seed.of(WORDS), seed.of(WORDS));
        return quoted(both.as_bytes());
    }
    quoted(seed.of(WORDS).as_bytes())
}

/// An integer, mostly small.
pub fn int(seed: &mut Seed) -> String {
    match seed.below(10) {
        0 => (*seed.of(&["-1", "0", "-2", "-100", "1000"])).to_owned(),
        1 => (seed.below(300) as i64 - 100).to_string(),
        _ => seed.below(14).to_string(),
    }
}

/// A number of any size and sort.
pub fn number(seed: &mut Seed) -> String {
    const ODD: &[&str] = &[
        "9223372036854775807",
        "-9223372036854775808",
        "4294967296",
        "1.5",
        "-2.5",
        "0.1",
        "1e21",
        "1e-7",
        "3.0",
        "123456789.125",
        "1e308",
        "2.5e-308",
        "(float64 7)",
        "(int64 5)",
        "(int 6)",
        "(int64 -3)",
        "(atoi \"12\")",
        "0x10",
        "'a'",
        "1_000",
        "(float64 \"NaN\")",
        "(float64 \"+Inf\")",
        "(float64 \"-0\")",
        "(len \"abc\")",
        "(semver \"3.1.4\").Minor",
        "(mustToDuration \"90s\")",
        "(toDate \"2006-01-02\" \"2024-05-06\").Month",
        "100",
        "99.999",
        "0.30000000000000004",
        ".Values.f",
        ".Values.n",
    ];
    if seed.percent(45) { (*seed.of(ODD)).to_owned() } else { int(seed) }
}

/// A list.
pub fn list(seed: &mut Seed, depth: usize) -> String {
    const READY: &[&str] = &[
        "(list)",
        "(list 1 2 3)",
        "(list \"b\" \"a\" \"c\")",
        "(list \"a\" \"a\" \"b\")",
        "(list nil 1 nil)",
        "(until 5)",
        "(splitList \",\" \"x,y,,z\")",
        ".Values.list",
        ".Values.strings",
        "(list 1 1.0 \"1\")",
        "(list 0 \"\" false nil (list) (dict))",
        "(chunk 2 (list 1 2 3))",
        "(list (list 1) (list 1) (list 2))",
        "(regexFindAll \"x\" \"a\" -1)",
        "(list true false)",
        "(rest (list))",
        "(list (dict \"a\" 1) (dict \"a\" 1))",
        ".Values.empty",
        "(keys (dict \"k\" 1))",
        "(list \"B\" \"a\" \"C\" \"10\" \"9\")",
    ];
    if depth == 0 || seed.percent(60) {
        return (*seed.of(READY)).to_owned();
    }
    let items: Vec<String> = (0..seed.below(4)).map(|_| any(seed, depth - 1)).collect();
    format!("(list {})", items.join(" "))
}

/// A map.
pub fn map(seed: &mut Seed, depth: usize) -> String {
    const READY: &[&str] = &[
        "(dict)",
        "(dict \"a\" 1 \"b\" \"two\")",
        ".Values.map",
        ".Values.nested",
        "(dict \"a\" (dict \"b\" (dict \"c\" 1)))",
        "(dict \"x\" nil \"y\" (list 1 2))",
        "(dict \"a\" \"\" \"b\" 0 \"c\" false \"d\" (list))",
        "(fromYaml \"a: 1\\nb: [x, y]\\nc: {d: e}\")",
        "(fromJson \"{\\\"a\\\":null,\\\"z\\\":[1,{}]}\")",
        "(dict \"odd\")",
        "(dict 1 2 true 3)",
        "(urlParse \"https://u:p@h.io:80/x?y=z#f\")",
        "(dict \"k10\" 1 \"k9\" 2 \"k\" 3)",
        "(dict \"\" \"empty\")",
        "(dict \"a\" (dict \"x\" 1) \"b\" (list 3))",
        "(fromYaml \"null\")",
    ];
    if depth == 0 || seed.percent(65) {
        return (*seed.of(READY)).to_owned();
    }
    let keys = ["\"a\"", "\"b\"", "\"c\"", "\"key with space\"", "\"x\"", "\"y.z\""];
    let pairs: Vec<String> = (0..seed.below(4)).map(|_| format!("{} {}", seed.of(&keys), any(seed, depth - 1))).collect();
    format!("(dict {})", pairs.join(" "))
}

/// A value of any sort.
pub fn any(seed: &mut Seed, depth: usize) -> String {
    const ODD: &[&str] = &[
        "nil",
        "true",
        "false",
        ".Values.missing",
        ".Values",
        "(semver \"1.2.3-rc.1+b\")",
        "(toDate \"2006-01-02\" \"2023-07-08\")",
        "(mustToDuration \"1h\")",
        "(split \",\" \"a,b\")",
        "(int64 0)",
        "(float64 0)",
        "(b64dec \"/w==\")",
        ".Chart",
        ".Release.Name",
        "(dict \"a\" nil)",
        "\"\"",
        "0",
        "(toDate \"2006\" \"bad\")",
    ];
    match seed.below(12) {
        0..4 => text(seed),
        4..7 => number(seed),
        7 | 8 => list(seed, depth),
        9 | 10 => map(seed, depth),
        _ => (*seed.of(ODD)).to_owned(),
    }
}
