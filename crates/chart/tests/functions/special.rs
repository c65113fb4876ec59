//! Arguments that only some functions understand: patterns, layouts, versions, addresses, documents.

use super::literals::{any, int, quoted, text};
use super::seed::Seed;

fn one_of(seed: &mut Seed, choices: &[&str]) -> String {
    let chosen = *seed.of(choices);
    if seed.percent(25) { quoted(mutated(seed, chosen).as_bytes()) } else { quoted(chosen.as_bytes()) }
}

/// A text with a few characters taken out, put in, doubled or moved.
fn mutated(seed: &mut Seed, text: &str) -> String {
    const PIECES: &[char] = &[
        '0', '1', '2', '9', 'a', 'x', 'Z', 'T', ' ', '.', ',', ':', ';', '-', '+', '_', '/', '\\', '"', '\'', '[', ']', '{', '}',
        '(', ')', '<', '>', '=', '*', '?', '|', '^', '$', '#', '%', '&', '@', '~', '!', '\n', '\t', 'é', 'µ', 'e', 'E', 'n',
    ];
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..=seed.below(3) {
        let at = seed.below(characters.len() + 1);
        match seed.below(4) {
            0 if at < characters.len() => drop(characters.remove(at)),
            1 if at < characters.len() => characters.insert(at, characters[at]),
            2 if at + 1 < characters.len() => characters.swap(at, at + 1),
            _ => characters.insert(at, *seed.of(PIECES)),
        }
    }
    characters.into_iter().collect()
}

/// Pieces of patterns, put together.
pub fn pattern(seed: &mut Seed) -> String {
    const WHOLE: &[&str] = &[
        "",
        "a",
        "[a-z]+",
        "(a|b)*c",
        "^foo",
        "bar$",
        "\\d+",
        "(?P<first>\\w+) (?P<second>\\w+)",
        "(?i)hello",
        "[[:alpha:]]+",
        "a{2,3}",
        "(",
        ")",
        "[",
        "a**",
        "*",
        "a{1001}",
        "\\",
        "\\8",
        "(?=x)",
        "(?P<n",
        "[z-a]",
        "\\pN",
        "\\p{Greek}",
        "\\p{Nope}",
        "x*",
        "(x)(y)?",
        "a??",
        "\\Qa.b\\E+",
        "(?s).",
        "(?m)^.*$",
        ".",
        "\\b",
        "\\B",
        "[^a]",
        "[^\\d\\s]",
        "a|",
        "(?:a|ab)(?:c|bcd)",
        "(a+)+$",
        "\\x{1F600}",
        "\\x41",
        "\\C",
        "\\z",
        "[a",
        "a{,3}",
        "a{3",
        "(?U)a+",
        "(?i-s:X)y",
        "\\p{Lu}\\p{Ll}*",
        "[\\p{L}\\d]+",
        "((a){2}){600}",
        "a{2}{3}",
        "(?<n>x)",
        "(?P<1a>x)",
        "[[:nope:]]",
        "(?i)ß",
        "(?i)K",
        "\\s+",
        "[\\s\\S]",
        "\\W",
        "[-a]",
        "[]a]",
        "[a-]",
        "\\07",
        "\\1",
        "(?P<n>a)(?P<n>b)",
        "$^",
        "a\\",
        "(?x)a",
        "x{0}",
        "x{0,0}y",
        "(?i)[k-m]",
        "\\pZ",
        "[^\\n]",
        "(|a)+",
    ];
    const PIECES: &[&str] = &[
        "a",
        "b",
        ".",
        "\\d",
        "\\w",
        "\\s",
        "[abc]",
        "[^x]",
        "(",
        ")",
        "(?:",
        "|",
        "*",
        "+",
        "?",
        "{2}",
        "{1,2}",
        "^",
        "$",
        "\\b",
        "é",
        "[[:upper:]]",
        "\\.",
        "-",
        "x",
        "(?i)",
        "*?",
        "+?",
        "\\pL",
        "[a-f0-9]",
        "\\D",
        "\\n",
    ];
    if seed.percent(60) {
        return one_of(seed, WHOLE);
    }
    let pieces: String = (0..=seed.below(6)).map(|_| *seed.of(PIECES)).collect();
    quoted(pieces.as_bytes())
}

/// A replacement with references to groups.
pub fn replacement(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "",
        "-",
        "$1",
        "${1}x",
        "$1x",
        "$first",
        "${second} ${first}",
        "$$",
        "$",
        "${",
        "${1",
        "$0",
        "[$0]",
        "$10",
        "$01",
        "a$b",
        "${}",
        "$é",
        "x$1y$2z",
    ];
    one_of(seed, ALL)
}

/// A layout of dates.
pub fn layout(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "2006-01-02",
        "2006-01-02T15:04:05Z07:00",
        "2006-01-02T15:04:05.999999999Z07:00",
        "02 Jan 06 15:04 MST",
        "Monday, 02-Jan-06 15:04:05 MST",
        "Mon Jan _2 15:04:05 2006",
        "3:04PM",
        "15:04",
        "2006",
        "Jan 2, 2006 at 3:04pm (MST)",
        "2006-002",
        "__2",
        "06/1/2",
        "15:04:05.000",
        "15:04:05,999",
        "-0700",
        "-07:00:00",
        "Z070000",
        "Z07",
        "-07",
        "January",
        "Janet",
        "Monster",
        "_2006",
        "",
        "plain text",
        "05.00 .00",
        "20060102150405",
        "Z0700",
        "2006-01-02 15:04:05.999999999 -0700 MST",
        "PMpm",
        "01-02-03-04-05-06",
        "1 2 3 4 5",
        "é2006",
        "03:04:05 PM",
        "-070000",
        "Mon Monday Jan January",
    ];
    one_of(seed, ALL)
}

/// A text that may be a date.
pub fn date_text(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "2024-02-29",
        "2023-02-29",
        "2024-13-01",
        "2024-02-29T12:34:56Z",
        "2024-02-29T12:34:56.789+02:00",
        "2024-02-29T12:34:56-05:00",
        "29 Feb 24 12:34 UTC",
        "29 Feb 24 12:34 CET",
        "29 Feb 24 12:34 GMT+3",
        "29 Feb 24 12:34 XYZ",
        "Thursday, 29-Feb-24 12:34:56 CEST",
        "Thu Feb 29 12:34:56 2024",
        "3:04PM",
        "13:04PM",
        "12:00AM",
        "23:59",
        "24:00",
        "2024",
        "99999",
        "2024-366",
        "2023-366",
        "060",
        "15:04:05.123",
        "15:04:05,5",
        "+0200",
        "-03:00:01",
        "Z",
        "-25",
        "",
        "garbage",
        "20240229123456",
        "0000-01-01",
        "9999-12-31",
        "2024-03-31",
        "2024-03-31T02:30:00+01:00",
        "2024-1-1",
        "24/2/9",
        "2024-10-27",
        "2024-02-29 12:34:56.5 +0100 CET",
        "February",
        "feb",
        "5 6 7 8 9",
        "2024-02-2",
        "2024-02-29extra",
        "é2024",
        "PMpm",
        "AMam",
    ];
    one_of(seed, ALL)
}

/// A date as value.
pub fn date(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "(toDate \"2006-01-02\" \"2024-02-29\")",
        "(toDate \"2006-01-02T15:04:05.999999999Z07:00\" \"2021-03-04T05:06:07.891234+09:30\")",
        "(toDate \"2006-01-02 MST\" \"1999-12-31 EST\")",
        "(toDate \"x\" \"y\")",
        "(int64 0)",
        "(int64 1700000000)",
        "1700000000",
        "-1",
        "(int64 -62135596801)",
        "(int64 253402300800)",
        "(toDate \"2006-01-02 15:04:05\" \"2024-03-31 02:30:00\")",
        "(toDate \"2006-01-02 15:04:05\" \"2024-10-27 02:30:00\")",
        "(int64 100000000000)",
        "(toDate \"2006-01-02\" \"1880-01-01\")",
        "(toDate \"2006-01-02\" \"2050-07-01\")",
    ];
    (*seed.of(ALL)).to_owned()
}

/// A date of Go's own type.
pub fn time(seed: &mut Seed) -> String {
    loop {
        let chosen = date(seed);
        if chosen.starts_with("(toDate") {
            return chosen;
        }
    }
}

/// The name of a zone.
pub fn zone(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "UTC",
        "Local",
        "",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",
        "Nowhere/Land",
        "utc",
        "europe/berlin",
        "Etc/GMT+5",
        "America/Sao_Paulo",
        "../etc/passwd",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "GMT",
    ];
    one_of(seed, ALL)
}

/// A duration as text.
pub fn duration(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "1h",
        "90m",
        "-1.5h",
        "1h2m3s4ms5us6ns",
        "1h2m3.5s",
        "0",
        "",
        "3",
        "1x",
        "1.h",
        ".5s",
        ".s",
        "1d",
        "+5s",
        "-",
        "9223372036854775807ns",
        "9223372036854775808ns",
        "2562048h",
        "1µs",
        "1μs",
        "100us",
        "1e3s",
        " 1h ",
        "1h 2m",
        "3.123456789123s",
        "é",
        "8760h",
        "2.5",
        "48h30m",
    ];
    one_of(seed, ALL)
}

/// A duration of any sort.
pub fn any_duration(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "(mustToDuration \"1h30m\")",
        "90",
        "(int64 3600)",
        "1.5",
        "nil",
        "-7",
        "9223372037",
        "9223372036854775807",
        "(float64 \"NaN\")",
        "(float64 \"1e300\")",
        "true",
        "(list)",
        "(mustToDuration 0.001)",
        "(toDate \"2006\" \"2020\")",
        "(mustToDuration \"-3661.5s\")",
        "1e-9",
    ];
    if seed.percent(55) { duration(seed) } else { (*seed.of(ALL)).to_owned() }
}

/// A version.
pub fn version(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "1.2.3",
        "v1.2.3",
        "1.2",
        "1",
        "0.0.1",
        "0.1.0",
        "1.2.3-alpha",
        "1.2.3-alpha.1",
        "1.2.3-alpha.beta",
        "1.2.3-rc.1+build.5",
        "2.0.0",
        "1.10.0",
        "1.9.9",
        "01.2.3",
        "1.2.3-01",
        "1.2.3-0",
        "",
        "x",
        "1.2.3.4",
        "V1.2.3",
        "1.2.3+meta",
        "11.0.0",
        "1.33.4-gke.1245000",
        "18446744073709551616.0.0",
        "1..2",
        "0.2.3",
        "0.0.3",
        "1.2.3-",
        "1.2.3-a..b",
        "0.0.0",
    ];
    one_of(seed, ALL)
}

/// A constraint on versions.
pub fn constraint(seed: &mut Seed) -> String {
    const WHOLE: &[&str] = &[
        "*",
        "",
        ">=1.2.3",
        ">1",
        "<2.0.0",
        "^1.2.3",
        "^0.2.3",
        "^0.0.3",
        "^0.0",
        "^0",
        "^1.x",
        "~1.2.3",
        "~1.2",
        "~1",
        "~>2.3",
        "1.2.3",
        "=1.2",
        "!=1.2.3",
        "!=1.x",
        "!=1.2.x",
        ">=1.0 <2.0 || >3",
        "1.2 - 2.3.4",
        ">= 1.2, < 3",
        ">=1.2.3-0",
        "^1.2.3-alpha",
        "x",
        "1.2.X",
        ">1.2",
        ">1",
        "<=1.2",
        "<=1",
        "=>1.0",
        "=<2",
        "nope",
        "1.2.3 ||",
        "|| 1",
        ">=",
        "1 2",
        "~*",
        "^*",
        ">*",
        "<*",
        ">=1.2.3 <1.2.4",
        "!=0.0.0",
        "~0.0.0",
        "^0.0.0",
        ">=0.0.0-0",
        "1|2",
        "~1.2.3-beta.2",
        "><1",
        "== 1",
        ">=1.16.0-0 <1.40.0-0",
        "!=*",
    ];
    const OPERATORS: &[&str] = &["", "=", "!=", ">", "<", ">=", "<=", "~", "^", "~>"];
    const VERSIONS: &[&str] = &["1", "1.2", "1.2.3", "0.2", "0.0.3", "1.x", "2.0.0-rc.1", "*", "1.2.*", "v1.2", "10.0.1"];
    if seed.percent(50) {
        return one_of(seed, WHOLE);
    }
    let mut out = String::new();
    for index in 0..=seed.below(3) {
        if index > 0 {
            out.push_str(*seed.of::<&str>(&[" ", ", ", " || ", ","]));
        }
        out.push_str(*seed.of::<&str>(OPERATORS));
        out.push_str(*seed.of::<&str>(VERSIONS));
    }
    quoted(out.as_bytes())
}

/// A web address.
pub fn url(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "https://user:pass@host.com:8080/path/x?query=1&b=2#frag",
        "http://host",
        "//host/path",
        "/just/path",
        "path/only",
        "a:b",
        "mailto:me@x.io",
        "http://[::1]:80/",
        "http://[::1",
        "http://[1.2.3.4]/",
        "http://host:port/",
        "http://a b/",
        "http://host/%zz",
        "http://host/%41%2F",
        "",
        "*",
        "http://h?x",
        "http://h?",
        "#f",
        "http://ü.de/ö?ä#ß",
        "HTTP://UP",
        "1http://x",
        ":x",
        "http://h/a b",
        "http://u@h",
        "http://u:@h",
        "http://@h",
        "ftp://a:b:c@h/",
        "http://h:80:90/",
        "x://h:80:90/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::%]/",
        "http://h/p;v=1?q#a%20b",
        "http://us%2fer@h/",
        "http://h\u{7f}/",
        "http://[::ffff:1.2.3.4]/",
        "http://[::12345]/",
        "http://[1:2]/",
        "http://[::1]x/",
        "http://a[b]/",
        "http://%41/",
        "http://h%25/",
        "http://h/?a=1?b=2",
        "file:///etc/x",
        "///three",
        "http:opaque?x#y",
        "http://us er@h/",
        "redis://:pw@h:6379/0",
    ];
    one_of(seed, ALL)
}

/// A map of the parts of an address.
pub fn url_parts(seed: &mut Seed) -> String {
    if seed.percent(50) {
        return format!("(urlParse {})", url(seed));
    }
    const PARTS: &[&str] = &["scheme", "host", "path", "query", "opaque", "fragment", "userinfo"];
    const VALUES: &[&str] = &[
        "\"http\"",
        "\"h:80\"",
        "\"/a b\"",
        "\"a\"",
        "\"x=1\"",
        "\"\"",
        "\"u:p\"",
        "1",
        "nil",
        "\"é%\"",
        "\"a:b\"",
        "\"[::1]\"",
        "\"*\"",
        "\"u ser\"",
        "(list)",
    ];
    let pairs: Vec<String> = (0..seed.below(6)).map(|_| format!("\"{}\" {}", seed.of(PARTS), seed.of(VALUES))).collect();
    format!("(dict {})", pairs.join(" "))
}

/// A path.
pub fn path(seed: &mut Seed) -> String {
    const PIECES: &[&str] = &["/", "a", "..", ".", "b.txt", "//", "x.y/z", "", "...", ".hidden", "é", "a/../b", "tar.gz"];
    let pieces: String = (0..seed.below(6)).map(|_| *seed.of(PIECES)).collect();
    quoted(pieces.as_bytes())
}

/// A document in JSON.
pub fn json(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "{}",
        "[]",
        "null",
        "true",
        "1",
        "\"x\"",
        "{\"a\":1,\"b\":[true,null,1.5e3]}",
        "[1,2",
        "{\"a\":}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "[1,]",
        "[,]",
        "tru",
        "nul",
        "nulL",
        "-",
        "01",
        "1.",
        "1.e3",
        "1e",
        "1e+",
        "-0",
        "1e999",
        "{\"a\":1e999}",
        "[1e999]",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "\"\\x\"",
        "\"a\nb\"",
        "\"unended",
        "",
        "  ",
        "1 2",
        "{\"a\":1}x",
        "[1 2]",
        "\u{feff}{}",
        "{\"a\":{\"b\":{\"c\":[{},[]]}}}",
        "{\"z\":1,\"a\":2,\"z\":3}",
        "'x'",
        "{\"a\":\"<&>\"}",
        "[\"é\",\"\\u2028\"]",
        "{\"a\":12345678901234567890}",
        "NaN",
        "\"\\/\\b\\f\\n\\r\\t\\\"\\\\\"",
        "[0.1,1e-7,1e21,123456789]",
        "{\"\":0}",
        "[[[[[[]]]]]]",
        "{\"a\" : 1 , \"b\" : 2 }",
        "\u{7f}",
        "é",
    ];
    one_of(seed, ALL)
}

/// A document in YAML.
pub fn yaml(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "a: 1",
        "a: [1, two, 3.0]",
        "- 1\n- b\n",
        "a:\n  b: {c: d}\n",
        "",
        "null",
        "x",
        "a: b: c",
        "\ta: 1",
        "a: &x 1\nb: *x\n",
        "a: yes\nb: ~\nc: 0o17\nd: 017\n",
        "a: |\n  text\n  more\n",
        "a: >-\n  folded\n  text\n",
        "- [a, b]\n- {c: d}\n",
        "a: 1\na: 2\n",
        "{a: 1",
        "[1, 2",
        "a: '",
        "---\na: 1\n---\nb: 2\n",
        "1: x\ntrue: y\n",
        "<<: {a: 1}\nb: 2\n",
        "a: 2001-01-01",
        "a: !!str 1",
        "a: !custom x",
        "# only a comment",
        "a: \"\\x41\\u00e9\"",
        "? complex\n: value",
        "a: 1e3\nb: .inf\nc: 0x1F\n",
        "- - a\n  - b\n-\n  - c\n",
        "*missing",
        "a: *b",
        "12",
        "\"quoted\"",
        "é: ü",
        "a: 9223372036854775808",
        "a: 1_000",
    ];
    one_of(seed, ALL)
}

/// A document in TOML.
pub fn toml(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "",
        "a = 1",
        "a = \"x\"\nb = 'y'\n",
        "[t]\na = 1\n[t.u]\nb = 2\n",
        "[[x]]\na = 1\n[[x]]\na = 2\n",
        "a = [1, 2, 3]",
        "a = {b = 1, c = \"d\"}",
        "a.b.c = 1",
        "a = 1.5\nb = 1e3\nc = inf\nd = nan\n",
        "a = true\nb = false\n",
        "d = 1979-05-27T07:32:00Z",
        "d = 1979-05-27",
        "d = 07:32:00",
        "d = 1979-05-27T07:32:00",
        "a = ",
        "a",
        "= 1",
        "a = 1\na = 2\n",
        "[t]\n[t]\n",
        "a = [1, 2",
        "a = {b = 1",
        "a = \"x",
        "a = 'x\ny'",
        "a = \"\"\"\nmulti\nline\\\n   more\"\"\"",
        "a = '''raw\n'''",
        "a = 0x1F\nb = 0o17\nc = 0b101\nd = 1_000\n",
        "a = 01",
        "a = 1__0",
        "a = +1\nb = -2\n",
        "a = 1 b = 2",
        "[a\nb = 1",
        "[]",
        "[a.]",
        "a = foo",
        "a = \"\\u00e9\\n\\t\"",
        "a = \"\\q\"",
        "# comment\na = 1 # more\n",
        "\"quoted key\" = 1\n'x y' = 2\n",
        "a = [\n 1, # c\n 2,\n]\n",
        "a = 99999999999999999999",
        "a = .5",
        "a = 5.",
        "a = 1.e2",
        "a = [[1], [\"x\"]]",
        "a = [{b = 1}, {b = 2}]",
        "[a]\nb = 1\n[a.b]\nc = 2\n",
        "a = {}\n[a]\nb = 1\n",
        "a = -nan",
        "a = \"\u{7f}\"",
        "a = 1979-13-01",
        "[[a]]\n[a.b]\nc = 1\n",
        "a = \"\\x41\\e\"",
        "a = []\n[[a]]\nb = 1\n",
        "é = 1",
        "a = \"\"\"x\"\"\"\"\"",
        "a = {b = 1,}",
        "a = {\n b = 1\n}\n",
        "a=1\r\nb=2\r\n",
        "a = 0x\n",
        "a = 1979-05-27 07:32:00-07:00",
    ];
    one_of(seed, ALL)
}

/// Base 64 or 32, good and bad.
pub fn base_text(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "",
        "aGVsbG8=",
        "aGVsbG8",
        "aGVsbG8h",
        "YQ==",
        "YQ=",
        "Y",
        "Y===",
        "aGVs\nbG8=",
        "aGVsbG8=x",
        "a=Vs",
        "!!!!",
        "/w==",
        "AAAA=",
        "YWJj\r\nZGVm\r\n",
        "YQ\n==",
        "YQ=\n=",
        "Y Q==",
        "NBSWY3DP",
        "NBSWY3DPEB3W64TMMQ======",
        "MY======",
        "MY=====",
        "MZXQ====",
        "MZXW6===",
        "MZXW6YQ=",
        "MZXW6YTBOI======",
        "nbswy3dp",
        "MY",
        "M=======",
        "MZ=A====",
        "MFRGGZDFMZTWQ2LK",
        "1BSWY3DP",
        "MY======MY======",
        "=",
        "==",
        "====",
        "YQ==YQ==",
        "////",
    ];
    one_of(seed, ALL)
}

/// A name of a type or kind.
pub fn type_name(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "string",
        "int",
        "int64",
        "float64",
        "bool",
        "map",
        "slice",
        "map[string]interface {}",
        "[]interface {}",
        "[]string",
        "invalid",
        "<nil>",
        "ptr",
        "struct",
        "*semver.Version",
        "semver.Version",
        "time.Time",
        "time.Duration",
        "[]int",
        "map[string]string",
        "[][]interface {}",
        "common.Values",
    ];
    one_of(seed, ALL)
}

/// A key.
pub fn key(seed: &mut Seed) -> String {
    const ALL: &[&str] = &["a", "b", "c", "x", "missing", "", "k10", "key with space", "d"];
    if seed.percent(90) { one_of(seed, ALL) } else { text(seed) }
}

/// The address of a host, or none.
pub fn addresses(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "(list \"10.0.0.1\")",
        "nil",
        "(list)",
        "(list \"nope\")",
        "(list 1)",
        "(list \"::1\" \"1.2.3.4\")",
        "(list \"1.2.3\")",
        "(list nil)",
        "(list \"fe80::1%eth0\")",
    ];
    (*seed.of(ALL)).to_owned()
}

/// Alternative names.
pub fn names(seed: &mut Seed) -> String {
    const ALL: &[&str] = &["(list \"a.example\" \"b.example\")", "nil", "(list)", "(list 5)", "(list \"*.x\")", "(list nil)"];
    (*seed.of(ALL)).to_owned()
}

/// A base-64 of ciphertext or not.
pub fn ciphertext(seed: &mut Seed) -> String {
    const ALL: &[&str] = &[
        "",
        "AAAA",
        "!!",
        "AAAAAAAAAAAAAAAAAAAAAA==",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAA=",
        "30tEfhuJSVRhpG97XCuWgz2okj7L8vQ1s6V9zVUPeDQ=",
    ];
    one_of(seed, ALL)
}

/// A count that stays small.
pub fn small(seed: &mut Seed) -> String {
    if seed.percent(10) { (*seed.of(&["-1", "0", "-5", "100"])).to_owned() } else { int(seed) }
}

/// Whatever there is.
pub fn whatever(seed: &mut Seed) -> String {
    any(seed, 2)
}
