//! Templates out of chance: every construct, mostly right, now and then wrong in kind, and now and then broken in spelling.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value as Json, json};

/// A generator of templates.
pub struct Generator<'r> {
    random: &'r mut StdRng,
    variables: Vec<String>,
    ranges: usize,
    /// Named templates that may be called from here.
    named: usize,
    pub nested: bool,
    /// Whether this is within a definition, where including all by name would never end.
    defining: bool,
    /// Whether the dot is no root, whose addresses differ from run to run.
    pub dotted: bool,
    /// How many expressions of a hundred are of any kind.
    wild: u32,
}

const KEYS: &[&str] = &["a", "b", "c", "d", "e"];
const TEXTS: &[&str] = &["x", " ", "\n", "key: ", "\n  - ", "ä€", "<no value>", "}}", "}", "%", "\t", "\"q\""];
const STRINGS: &[&str] =
    &[r#""""#, r#""a""#, r#""b c""#, "`r\\n`", r#""\t\"\u00e4""#, r#""1""#, r#""true""#, r#""a.b""#, r#""<&'>""#, r#""\xff""#];
const NUMBERS: &[&str] =
    &["0", "1", "2", "-3", "7", "1.5", "1e3", "0x1f", "'a'", "-0", "3.0", "1_0", "0b101", "2i", "1e21", "0.00001"];

/// Texts for `tpl`.
const TPL_TEXTS: &[&str] = &[
    "\"{{ .Values.z }}|{{ include `t0` . }}\"",
    "\"{{ define `t0` }}new{{ end }}{{ include `t0` . }}\"",
    "\"{{ tpl .Values.s2 $ }}\"",
];
/// Texts for `tpl` that include nothing.
const SAFE_TEXTS: &[&str] = &[
    "\"{{ .Values.s1 }}\"",
    "`{{ range .Values.l2 }}{{ . }},{{ end }}`",
    "\"plain\"",
    "\"{{ .Values.z }}|{{ typeOf .Values.n1 }}\"",
];

/// Functions that take anything.
const LOOSE: &[&str] = &[
    "quote",
    "squote",
    "toString",
    "kindOf",
    "typeOf",
    "list",
    "toJson",
    "toYaml",
    "print",
    "println",
    "and",
    "or",
    "not",
    "empty",
    "coalesce",
    "int",
    "int64",
    "float64",
    "html",
    "js",
    "urlquery",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "default",
    "len",
    "index",
    "cat",
    "add",
    "mul",
    "sub",
    "max",
    "min",
    "tuple",
    "ternary",
    "compact",
    "uniq",
    "has",
    "without",
    "append",
    "prepend",
    "concat",
    "first",
    "last",
    "rest",
    "initial",
    "reverse",
    "join",
    "toStrings",
    "deepEqual",
    "deepCopy",
    "fail",
    "required",
    "call",
    "slice",
    "kindIs",
    "typeIs",
    "add1",
    "div",
    "mod",
    "floor",
    "ceil",
    "round",
    "toDecimal",
    "fromJson",
    "fromYaml",
    "toPrettyJson",
    "all",
    "any",
    "chunk",
    "dict",
];
/// Functions of strings.
const OF_TEXT: &[&str] = &[
    "upper",
    "lower",
    "title",
    "trim",
    "nospace",
    "b64enc",
    "b64dec",
    "sha256sum",
    "untitle",
    "swapcase",
    "camelcase",
    "snakecase",
    "kebabcase",
    "initials",
    "quote",
    "len",
    "atoi",
    "base",
    "dir",
    "clean",
    "ext",
    "trimAll",
    "trimSuffix",
    "trimPrefix",
    "contains",
    "hasPrefix",
    "hasSuffix",
    "splitList",
    "replace",
    "trunc",
    "nindent",
    "indent",
    "substr",
    "abbrev",
    "printf",
    "urlParse",
    "semver",
    "regexMatch",
    "plural",
    "wrap",
];
/// Functions of maps.
const OF_MAP: &[&str] = &["get", "hasKey", "pick", "omit", "values", "pluck", "keys", "dig", "merge", "mergeOverwrite", "unset"];

impl<'r> Generator<'r> {
    pub fn new(random: &'r mut StdRng) -> Self {
        Self { random, variables: Vec::new(), ranges: 0, named: 0, nested: false, defining: false, dotted: false, wild: 0 }
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    pub fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from.choose(self.random).copied().unwrap_or_default()
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        self.random.random_range(0..sides)
    }

    pub fn has_variables(&self) -> bool {
        !self.variables.is_empty()
    }

    pub fn variable(&mut self) -> String {
        self.variables.choose(self.random).cloned().unwrap_or_default()
    }

    /// A case: templates, values, options.
    pub fn case(&mut self) -> Json {
        self.wild = if self.chance(60) { 0 } else { self.random.random_range(1..40) };
        let mut templates = Map::new();
        let mut partials = String::new();
        for index in 0..self.random.random_range(0..4_usize) {
            self.named = index;
            (self.defining, self.dotted) = (true, false);
            self.nested = true;
            self.variables.clear();
            let body = self.list(2);
            partials.push_str(&format!("{{{{- define \"t{index}\" }}}}{body}{{{{ end -}}}}"));
            self.named = index + 1;
        }
        templates.insert("templates/_p.tpl".to_owned(), json!(partials));
        (self.nested, self.defining, self.dotted) = (false, false, false);
        for name in ["a", "b"].iter().take(self.random.random_range(1..3)) {
            self.variables.clear();
            let mut text = self.list(3);
            if self.wild > 0 && self.chance(15) {
                text = self.broken(text);
            }
            templates.insert(format!("templates/{name}.yaml"), json!(text));
        }
        let mut values = self.table(3);
        self.known(&mut values, 2);
        json!({"templates": templates, "values": values, "options": {"strict": self.chance(15), "lint": self.chance(5), "name": "r"}})
    }

    /// Adds what expressions of a kind count on.
    fn known(&mut self, table: &mut Json, depth: usize) {
        for key in ["s1", "s2"] {
            table[key] = json!(["", "a", "text", "a b", "x: y\n", "ä<b>", "5", "0x1f"].choose(self.random));
        }
        table["n1"] = json!([0.0, 1.0, 0.5, 1e6, 12345678.0, -0.25, 1e-7, 3e21].choose(self.random));
        table["i1"] = json!({"$int64": self.random.random_range(-3..9).to_string()});
        table["b1"] = json!(self.chance(50));
        table["z"] = Json::Null;
        table["l1"] = (0..self.random.random_range(0..4)).map(|_| self.value(1)).collect();
        table["l2"] = (0..self.random.random_range(0..4)).map(|_| json!(["b", "a", "", "c d"].choose(self.random))).collect();
        if depth > 0 {
            let mut inner = self.table(1);
            self.known(&mut inner, depth - 1);
            table["m1"] = inner;
        } else {
            table["m1"] = json!({"s1": "deep"});
        }
    }

    fn table(&mut self, depth: usize) -> Json {
        let keys: Vec<&str> = KEYS.iter().copied().filter(|_| self.chance(80)).collect();
        Json::Object(keys.into_iter().map(|key| (key.to_owned(), self.value(depth))).collect())
    }

    fn value(&mut self, depth: usize) -> Json {
        match self.random.random_range(0..if depth == 0 { 8 } else { 12 }) {
            0 => Json::Null,
            1 => json!(self.chance(50)),
            2 => json!(self.random.random_range(-5..50)),
            3 => json!([0.5, 1e6, 12345678.0, -0.25, 1e-7, 3.0].choose(self.random)),
            4 => json!({"$int64": self.random.random_range(-3..9).to_string()}),
            5..8 => json!(
                ["", "a", "text", "a b", "{{ .Values.a }}", "x: y\n", "ä<b>", "{{ .a }}", "5", "{{ .a.b.c }}", "{{"]
                    .choose(self.random)
            ),
            8 | 9 => (0..self.random.random_range(0..4)).map(|_| self.value(depth - 1)).collect(),
            _ => self.table(depth - 1),
        }
    }

    fn broken(&mut self, text: String) -> String {
        let mut parts: Vec<char> = text.chars().collect();
        for _ in 0..self.random.random_range(1..3) {
            let at = self.random.random_range(0..=parts.len());
            if self.chance(50) && at < parts.len() {
                parts.remove(at);
            } else {
                let piece = self.pick(&[
                    "{{", "}}", "(", ")", "|", "\"", "`", "'", ".", "$", ":=", ",", "-", "/*", "end", "\n", "@", "1", "{{end}}",
                    "{{else}}", "nil", "\u{1}", "{{- ", " -}}",
                ]);
                parts.splice(at..at, piece.chars());
            }
        }
        parts.into_iter().collect()
    }

    fn list(&mut self, depth: usize) -> String {
        let mark = self.variables.len();
        let out = (0..self.random.random_range(1..5)).map(|_| self.node(depth)).collect();
        self.variables.truncate(mark);
        out
    }

    fn action(&mut self, inner: &str) -> String {
        let open = if self.chance(12) { "{{- " } else { "{{ " };
        let close = if self.chance(12) { " -}}" } else { " }}" };
        format!("{open}{inner}{close}")
    }

    fn node(&mut self, depth: usize) -> String {
        let kinds = if depth == 0 { 7 } else { 14 };
        match self.random.random_range(0..kinds) {
            0 | 1 => self.pick(TEXTS).to_owned(),
            2..5 => {
                let inner = self.pipeline(2);
                self.action(&inner)
            }
            5 => self.declaration(),
            6 => match self.random.random_range(0..4) {
                0 => self.pick(&["{{/* c */}}", "{{- /* c */ -}}", "{{- /* a\nb */}}"]).to_owned(),
                1 if self.ranges > 0 => {
                    let jump = self.pick(&["break", "continue"]);
                    format!("{{{{ if {} }}}}{{{{ {jump} }}}}{{{{ end }}}}", self.operand(1))
                }
                _ => self.call(),
            },
            7 | 8 => self.branch("if", depth),
            9 | 10 => self.branch("with", depth),
            11 | 12 => self.range(depth),
            _ => {
                let name = self.random.random_range(0..9);
                let pipe = if self.chance(self.wild) { self.pipeline(1) } else { "$".to_owned() };
                let (variables, ranges) = (std::mem::take(&mut self.variables), std::mem::take(&mut self.ranges));
                let nested = std::mem::replace(&mut self.nested, true);
                let dotted = std::mem::replace(&mut self.dotted, false);
                let body = self.list(depth - 1);
                (self.variables, self.ranges, self.nested, self.dotted) = (variables, ranges, nested, dotted);
                format!("{{{{ block \"k{name}\" {pipe} }}}}{body}{{{{ end }}}}")
            }
        }
    }

    fn declaration(&mut self) -> String {
        let pipe = self.pipeline(2);
        if !self.variables.is_empty() && self.chance(40) {
            let name = self.variables.choose(self.random).cloned().unwrap_or_default();
            return self.action(&format!("{name} = {pipe}"));
        }
        let name = format!("$v{}", self.random.random_range(0..3));
        self.variables.push(name.clone());
        self.action(&format!("{name} := {pipe}"))
    }

    fn branch(&mut self, word: &str, depth: usize) -> String {
        let mark = self.variables.len();
        let mut pipe = self.pipeline(2);
        if self.chance(15) {
            pipe = format!("$w := {pipe}");
            self.variables.push("$w".to_owned());
        }
        let outer = (self.nested, self.dotted);
        self.nested |= word == "with";
        self.dotted |= word == "with";
        let body = self.list(depth - 1);
        (self.nested, self.dotted) = outer;
        let mut out = format!("{}{body}", self.action(&format!("{word} {pipe}")));
        if self.chance(30) {
            let again = self.pipeline(1);
            let body = self.list(depth - 1);
            out.push_str(&format!("{{{{ else {word} {again} }}}}{body}"));
        }
        if self.chance(40) {
            let body = self.list(depth - 1);
            out.push_str(&format!("{{{{ else }}}}{body}"));
        }
        self.variables.truncate(mark);
        out.push_str(&self.action("end"));
        out
    }

    fn range(&mut self, depth: usize) -> String {
        let mark = self.variables.len();
        let over = if !self.chance(self.wild) || self.chance(70) { self.collection(1) } else { self.operand(1) };
        let mut head = format!("range {over}");
        match self.random.random_range(0..5) {
            0 => {
                head = format!("range $e := {over}");
                self.variables.push("$e".to_owned());
            }
            1 => {
                head = format!("range $i, $e := {over}");
                self.variables.extend(["$i".to_owned(), "$e".to_owned()]);
            }
            2 if !self.variables.is_empty() => {
                let name = self.variables.choose(self.random).cloned().unwrap_or_default();
                head = format!("range {name} = {over}");
            }
            _ => {}
        }
        self.ranges += 1;
        let outer = (std::mem::replace(&mut self.nested, true), std::mem::replace(&mut self.dotted, true));
        let body = self.list(depth - 1);
        (self.nested, self.dotted) = outer;
        self.ranges -= 1;
        let mut out = format!("{}{body}", self.action(&head));
        if self.chance(30) {
            let body = self.list(depth - 1);
            out.push_str(&format!("{{{{ else }}}}{body}"));
        }
        self.variables.truncate(mark);
        out.push_str(&self.action("end"));
        out
    }

    /// Another template, one way or the other.
    fn call(&mut self) -> String {
        let data = if self.chance(self.wild) { self.operand(1) } else { "$".to_owned() };
        let name = if self.named > 0 && !self.chance(self.wild) { self.random.random_range(0..self.named) } else { 9 };
        if name == 9 && self.wild == 0 {
            return self.pick(TEXTS).to_owned();
        }
        let inner = match self.random.random_range(0..7) {
            0 => format!("template \"t{name}\" {data}"),
            1 if self.wild > 0 => format!("template \"t{name}\""),
            2 => format!("include \"t{name}\" {data}"),
            3 => format!("include \"t{name}\" {data} | indent 2 | quote"),
            4 => format!("include \"t{name}\" {data} | toJson | fromJson"),
            _ if self.chance(self.wild) => format!("tpl {} {data}", self.operand(0)),
            _ => {
                let texts: &[&str] = if self.defining { SAFE_TEXTS } else { TPL_TEXTS };
                format!("tpl {} {data}", self.pick(texts))
            }
        };
        self.action(&inner)
    }

    fn pipeline(&mut self, depth: usize) -> String {
        if !self.chance(self.wild) {
            return self.piped(depth);
        }
        let mut out = if self.chance(50) { self.operand(depth) } else { self.function(depth) };
        while self.chance(25) {
            out.push_str(" | ");
            let call = self.function(depth.saturating_sub(1));
            // The last argument comes from the pipeline.
            let shorter = call.rsplit_once(' ').map_or(call.clone(), |(head, tail)| {
                if tail.contains(['(', ')', '"', '`']) { call.clone() } else { head.to_owned() }
            });
            out.push_str(&shorter);
        }
        out
    }

    fn function(&mut self, depth: usize) -> String {
        let (name, first) = match self.random.random_range(0..6) {
            0..3 => (self.pick(LOOSE), None),
            3 | 4 => (self.pick(OF_TEXT), Some(self.text(depth))),
            _ => (self.pick(OF_MAP), Some(self.collection(depth))),
        };
        let mut out = name.to_owned();
        let count = self.random.random_range(0..3);
        if let Some(first) = first {
            out.push_str(&format!(" {first}"));
        }
        for _ in 0..count {
            out.push_str(&format!(" {}", self.operand(depth.saturating_sub(1))));
        }
        if first_is_last(name) && count > 0 {
            let mut words: Vec<String> = vec![name.to_owned(), self.operand(0)];
            words.push(self.text(depth));
            return words.join(" ");
        }
        out
    }

    fn text(&mut self, depth: usize) -> String {
        if self.chance(60) { self.pick(STRINGS).to_owned() } else { self.operand(depth) }
    }

    fn collection(&mut self, depth: usize) -> String {
        if !self.chance(self.wild) {
            return if self.chance(50) { self.list_of(depth) } else { self.map_of(depth) };
        }
        match self.random.random_range(0..5) {
            0 => format!("(list {} {})", self.operand(0), self.operand(0)),
            1 => format!("(dict \"a\" {} \"b\" {})", self.operand(0), self.operand(0)),
            2 => "(until 3)".to_owned(),
            _ => self.path(depth),
        }
    }

    fn path(&mut self, depth: usize) -> String {
        let mut out = match self.random.random_range(0..10) {
            0..3 if self.nested => String::new(),
            3 | 4 if !self.variables.is_empty() => self.variables.choose(self.random).cloned().unwrap_or_default(),
            5 if depth > 0 => format!("({})", self.pipeline(depth - 1)),
            _ if self.nested => "$.Values".to_owned(),
            _ => ".Values".to_owned(),
        };
        if self.nested && out == "$.Values" && self.chance(60) {
            out = String::new();
        }
        for _ in 0..self.random.random_range(if out.ends_with("Values") || out.is_empty() { 1..3 } else { 0..2 }) {
            out.push('.');
            out.push_str(self.pick(KEYS));
        }
        out
    }

    fn operand(&mut self, depth: usize) -> String {
        if !self.chance(self.wild) {
            return self.any_of(depth);
        }
        match self.random.random_range(0..12) {
            0 => self.pick(STRINGS).to_owned(),
            1 => self.pick(NUMBERS).to_owned(),
            2 => self.pick(&["true", "false", "nil"]).to_owned(),
            3 if self.dotted => ".".to_owned(),
            4 | 5 if depth > 0 => format!("({})", self.function(depth - 1)),
            6 if depth > 0 => format!("({})", self.pipeline(depth - 1)),
            7 => self.collection(depth),
            _ => self.path(depth),
        }
    }
}

/// Functions whose text comes last.
fn first_is_last(name: &str) -> bool {
    matches!(
        name,
        "indent"
            | "nindent"
            | "trunc"
            | "abbrev"
            | "wrap"
            | "trimAll"
            | "trimSuffix"
            | "trimPrefix"
            | "contains"
            | "hasPrefix"
            | "hasSuffix"
            | "splitList"
    )
}
