//! `.Files`: the files of a chart that are no templates.

use super::glob::Glob;
use crate::functions::{Call, Failure, Function, find};
use crate::value::{BYTES, List, Map, Named, Str, Type, Value};

static NAMED: Named = Named { name: "engine.files", underlying: Type::Map(&BYTES), methods: METHODS };

/// `engine.files`.
pub const FILES: Type = Type::Named(&NAMED);

const METHODS: &[Function] = &[
    Function::fixed("AsConfig", &[], "The files as YAML for a ConfigMap's data.", |call, args| as_yaml(call, args, false)),
    Function::fixed("AsSecrets", &[], "The files as YAML for a Secret's data.", |call, args| as_yaml(call, args, true)),
    Function::fixed("Get", &[Type::String], "The text of a file.", |_, args| Ok(Value::string(content(args)))),
    Function::fixed("GetBytes", &[Type::String], "The bytes of a file.", |_, args| Ok(Value::List(List::bytes(&content(args))))),
    Function::fixed("Glob", &[Type::String], "The files whose paths match.", glob),
    Function::fixed("Lines", &[Type::String], "The lines of a file.", lines),
];

/// The files of a chart as templates see them.
pub(super) fn map(files: &[(String, Vec<u8>)]) -> Map {
    Map::of(FILES, files.iter().map(|(path, bytes)| (Str::from(path.as_str()), Value::List(List::bytes(bytes)))).collect())
}

fn content(args: &[Value]) -> Vec<u8> {
    args[0].as_map().get(args[1].as_text()).and_then(|file| file.as_list().as_bytes()).unwrap_or_default()
}

fn glob(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    let glob = Glob::new(&args[1].as_text().lossy());
    let matching = args[0].as_map().entries().into_iter().filter(|(path, _)| glob.matches(&path.lossy()));
    Ok(Value::Map(Map::of(FILES, matching.collect())))
}

fn lines(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    let content = content(args);
    if content.is_empty() {
        return Ok(Value::List(List::strings(Vec::<Str>::new())));
    }
    let content = content.strip_suffix(b"\n").unwrap_or(&content);
    Ok(Value::List(List::strings(content.split(|byte| *byte == b'\n'))))
}

fn as_yaml(call: &mut Call<'_>, args: &[Value], secret: bool) -> Result<Value, Failure> {
    let (Some(writer), Some(encoder)) = (find("toYaml"), find("b64enc")) else { return Ok(Value::string("")) };
    let files = Map::of(Type::Map(&Type::String), std::collections::BTreeMap::new());
    for (path, file) in args[0].as_map().entries() {
        let mut text = Value::string(file.as_list().as_bytes().unwrap_or_default());
        if secret {
            text = (encoder.call)(call, &[text])?;
        }
        files.insert(base(&path), text);
    }
    (writer.call)(call, &[Value::Map(files)])
}

/// `path.Base`.
fn base(path: &[u8]) -> Str {
    let mut path = path;
    while let Some(shorter) = path.strip_suffix(b"/") {
        path = shorter;
    }
    match path.rsplit(|byte| *byte == b'/').next() {
        None | Some(b"") => Str::from("."),
        Some(name) => Str::from(name),
    }
}
