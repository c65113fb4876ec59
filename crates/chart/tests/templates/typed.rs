//! Expressions that are right in kind: most of what the generator writes.

use super::generate::Generator;

const PIPED_TEXT: &[&str] = &[
    "upper",
    "quote",
    "trim",
    "nindent 2",
    "b64enc",
    "indent 1",
    "trunc 3",
    "replace \"a\" \"b\"",
    "printf \"%s!\"",
    "len",
    "sha256sum",
    "squote",
    "title",
    "trimSuffix \"a\"",
];
const PIPED_ANY: &[&str] = &[
    "quote",
    "toString",
    "toJson",
    "toYaml",
    "default \"d\"",
    "printf \"%v\"",
    "kindOf",
    "typeOf",
    "print",
    "empty",
    "not",
    "html",
    "eq nil",
    "list",
    "and true",
    "or 0",
    "printf \"%T %q\" 1",
    "toPrettyJson | nindent 4",
    "squote",
    "coalesce nil",
    "println",
];
const PIPED_LIST: &[&str] = &[
    "join \",\"",
    "len",
    "first",
    "last",
    "toJson",
    "uniq",
    "reverse",
    "compact",
    "rest",
    "toStrings",
    "print",
    "initial | toYaml",
    "has 1",
    "printf \"%v|%d\" 1",
];
const PIPED_MAP: &[&str] = &[
    "keys | sortAlpha",
    "len",
    "toYaml",
    "toJson",
    "print",
    "values | len",
    "printf \"%v\"",
    "deepCopy",
    "toYaml | nindent 2",
    "merge (dict \"q\" 1)",
];
const VERBS: &[&str] = &[
    "%v", "%s", "%d", "%q", "%5v|", "%-6v|", "%+v", "%#v", "%x", "%T", "%t", "%e", "%g", "%.2f", "%08.3f", "%c", "%U", "%b",
    "%o", "%X", "%6.2f|", "%.1s", "% d", "%+d", "%[1]v", "%*d", "%%",
];

impl Generator<'_> {
    /// The root of values, from wherever this is.
    fn values(&mut self) -> &'static str {
        if !self.nested && self.chance(70) { ".Values" } else { "$.Values" }
    }

    fn under(&mut self, key: &str) -> String {
        let root = self.values();
        let deeper = if self.chance(25) { ".m1" } else { "" };
        format!("{root}{deeper}.{key}")
    }

    /// Any expression, with what may follow it in its pipeline.
    pub fn piped(&mut self, depth: usize) -> String {
        let (mut out, tails) = match self.roll(5) {
            0 => (self.text_of(depth), PIPED_TEXT),
            1 => (self.list_of(depth), PIPED_LIST),
            2 => (self.map_of(depth), PIPED_MAP),
            _ => (self.any_of(depth), PIPED_ANY),
        };
        if self.chance(50) {
            out = format!("{out} | {}", self.pick(tails));
            while self.chance(20) {
                out = format!("{out} | {}", self.pick(PIPED_ANY));
            }
        }
        out
    }

    /// An operand of any kind.
    pub fn any_of(&mut self, depth: usize) -> String {
        match self.roll(13) {
            0 | 1 => self.text_of(depth),
            2 => self.int_of(depth),
            3 => self.bool_of(depth),
            4 => self.list_of(depth),
            5 => self.map_of(depth),
            6 => self.number(),
            7 | 8 if self.dotted => ".".to_owned(),
            9 | 10 if self.has_variables() => self.variable(),
            11 => self.under("z"),
            _ => self.under("n1"),
        }
    }

    fn number(&mut self) -> String {
        self.pick(&["0", "1", "-2", "1.5", "2.0", "1e6", "1e21", "0.00001", "'a'", "0x1F", "2i", "1_000", "123456789.0"])
            .to_owned()
    }

    /// A text.
    pub fn text_of(&mut self, depth: usize) -> String {
        if depth == 0 || self.chance(40) {
            return match self.roll(3) {
                0 => self
                    .pick(&[r#""""#, r#""a""#, r#""b c""#, "`r\\n`", r#""\t\"\u00e4""#, r#""true""#, r#""<&'>""#, r#""1.5""#])
                    .to_owned(),
                1 => self.under("s1"),
                _ => self.under("s2"),
            };
        }
        let depth = depth - 1;
        let (one, two) = (self.text_of(depth), self.any_of(depth));
        match self.roll(14) {
            0 => format!("(upper {one})"),
            1 => format!("(toString {two})"),
            2 => format!("(quote {two})"),
            3 => format!("(printf \"{}\" {two})", self.verbs()),
            4 => format!("(printf \"{} {}\" {two} {})", self.verbs(), self.verbs(), self.any_of(depth)),
            5 => format!("(join \",\" {})", self.list_of(depth)),
            6 => format!("(toJson {two})"),
            7 => format!("(replace \"a\" \"b\" {one})"),
            8 => format!("(print {one} {two} {})", self.any_of(depth)),
            9 => format!("(typeOf {two})"),
            10 => format!("(ternary {one} {} {})", self.text_of(depth), self.bool_of(depth)),
            11 => format!("(js {two})"),
            12 => format!("(urlquery {two} {one})"),
            _ => format!("(cat {one} {two})"),
        }
    }

    fn verbs(&mut self) -> &'static str {
        self.pick(VERBS)
    }

    fn int_of(&mut self, depth: usize) -> String {
        match self.roll(6) {
            0 if depth > 0 => format!("(len {})", self.list_of(depth - 1)),
            1 if depth > 0 => format!("(len {})", self.text_of(depth - 1)),
            2 if depth > 0 => format!("(int {})", self.under("i1")),
            _ => self.pick(&["0", "1", "2", "5"]).to_owned(),
        }
    }

    /// A truth.
    pub fn bool_of(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.pick(&["true", "false"]).to_owned();
        }
        let depth = depth - 1;
        match self.roll(9) {
            0 => format!("(eq {} {})", self.text_of(depth), self.text_of(depth)),
            1 => format!("(not {})", self.any_of(depth)),
            2 => format!("(hasKey {} \"s1\")", self.map_of(depth)),
            3 => format!("(empty {})", self.any_of(depth)),
            4 => format!("(contains {} {})", self.text_of(depth), self.text_of(depth)),
            5 => format!("(lt {} {})", self.int_of(depth), self.int_of(depth)),
            6 => format!("(ge {} 0.5)", self.under("n1")),
            7 => format!("(has {} {})", self.any_of(depth), self.list_of(depth)),
            _ => self.under("b1"),
        }
    }

    /// A list.
    pub fn list_of(&mut self, depth: usize) -> String {
        if depth == 0 || self.chance(30) {
            return match self.roll(4) {
                0 => self.under("l1"),
                1 => self.under("l2"),
                2 => "(until 3)".to_owned(),
                _ => "(splitList \"a\" \"bacad\")".to_owned(),
            };
        }
        let depth = depth - 1;
        match self.roll(8) {
            0 => format!("(list {} {})", self.any_of(depth), self.any_of(depth)),
            1 => format!("(append {} {})", self.list_of(depth), self.any_of(depth)),
            2 => format!("(keys {} | sortAlpha)", self.map_of(depth)),
            3 => format!("(concat {} {})", self.list_of(depth), self.list_of(depth)),
            4 => format!("(without {} {})", self.list_of(depth), self.any_of(depth)),
            5 => format!("(tuple {} nil)", self.any_of(depth)),
            6 => format!("(prepend {} {})", self.list_of(depth), self.any_of(depth)),
            _ => format!("(reverse {})", self.list_of(depth)),
        }
    }

    /// A map.
    pub fn map_of(&mut self, depth: usize) -> String {
        if depth == 0 || self.chance(40) {
            return self.under("m1");
        }
        let depth = depth - 1;
        match self.roll(6) {
            0 => format!("(dict \"a\" {} \"b\" {})", self.any_of(depth), self.any_of(depth)),
            1 => format!("(merge (dict \"s1\" 1) {})", self.map_of(depth)),
            2 => format!("(pick {} \"s1\" \"n1\")", self.map_of(depth)),
            3 => format!("(omit {} \"s1\")", self.map_of(depth)),
            4 => format!("(set (dict \"x\" {}) \"y\" {})", self.any_of(depth), self.text_of(depth)),
            _ => "(fromJson \"{\\\"k\\\":[1,null,{\\\"z\\\":2.5}]}\")".to_owned(),
        }
    }
}
