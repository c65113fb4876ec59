//! Texts in, trees or Go's error texts out. What Helm says to many more stands in `tests/templates`.

use std::rc::Rc;

use super::parse;
use crate::value::Str;

fn error(text: &str) -> String {
    parse(&Str::from("t"), &Rc::from(text.as_bytes())).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn errors_are_worded_as_in_go() {
    for (text, wanted) in [
        ("{{ if }}", "template: t:1: missing value for if"),
        ("\n{{ none }}", "template: t:2: function \"none\" not defined"),
        ("{{ .a", "template: t:1: unclosed action"),
        ("{{ (.a }}", "template: t:1: unclosed left paren"),
        ("{{ range . }}{{ end }}{{ break }}", "template: t:1: {{break}} outside {{range}}"),
        (
            "{{ define \"x\" }}1{{ end }}{{ define \"x\" }}2{{ end }}",
            "template: t:1: template: multiple definition of template \"x\"",
        ),
    ] {
        assert_eq!(error(text), wanted, "{text}");
    }
}

#[test]
fn a_definition_gives_a_tree_of_its_own_and_an_empty_one_gives_way() {
    let trees =
        parse(&Str::from("t"), &Rc::from(&b"{{ define \"x\" }} {{ end }}{{ define \"x\" }}1{{ end }}y"[..])).expect("a template");
    let names: Vec<String> = trees.iter().map(|tree| tree.name.to_string()).collect();
    assert_eq!(names, ["x", "t"]);
    assert!(!trees[0].is_empty());
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    let pieces: &[&[u8]] =
        &[b"{{", b"}}", b"\xff", b"{{-", b" -}}", b"/*", b"'", b"\"", b"`", b"$", b".", b"(", b")", b"if", b"end", b"\n", b"1e"];
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let mut text = Vec::new();
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.extend_from_slice(pieces[usize::try_from(state >> 33).unwrap_or(0) % pieces.len()]);
        }
        drop(parse(&Str::from("t"), &Rc::from(text)));
    }
}
