//! What a writing request carries: a document in JSON or YAML, and options in the query or in the body of a deletion.

use api::{
    document::{Value, meta},
    schema,
    status::Status,
};
use http::{HeaderMap, StatusCode, header};

use crate::{
    body::Body,
    render::{self, Form},
    request::{Call, answer},
    write::{Options, Written},
};

/// The media types that a document may have.
const SUPPORTED: &[&str] = &["application/json", "application/yaml"];
/// The longest name of a field manager (`validation.FieldManagerMaxLength`).
const MANAGER_MAX: usize = 128;

/// How unknown and duplicate fields are treated (KEP-2885).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Validation {
    Ignore,
    Warn,
    Strict,
}

/// A document and what was odd about it.
#[derive(Default)]
pub struct Input {
    /// The document.
    pub document: Value,
    /// What the client is told.
    pub warnings: Vec<String>,
    /// Fields that stand twice; not judged yet.
    duplicates: Vec<String>,
}

impl Input {
    /// A document without oddities.
    pub fn new(document: Value) -> Self {
        Self { document, ..Self::default() }
    }
}

/// The media type of a body, without parameters.
pub fn media(headers: &HeaderMap) -> &str {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    text.split(';').next().unwrap_or(text).trim()
}

/// Reads a JSON or YAML document of any kind.
///
/// # Errors
/// `415` for another media type, `400` for a body that is none.
pub fn parse(call: &Call, bytes: &[u8]) -> Result<Input, Status> {
    let (document, duplicates) = match media(&call.parts.headers) {
        "application/json" | "*/*" | "" => {
            let read = Value::parse_json(bytes).map_err(|error| {
                Status::bad_request(format!("the object provided is unrecognized (must be of type {}): {error}", call.kind.kind))
            });
            let (document, problems) = read?;
            (document, problems.iter().map(ToString::to_string).collect())
        }
        "application/yaml" | "application/apply-patch+yaml" => yaml(bytes)?,
        crate::protobuf::MEDIA_TYPE => {
            (crate::protobuf::decode(bytes).map_err(|error| Status::bad_request(error.to_string()))?, Vec::new())
        }
        _ => return Err(Status::unsupported_media_type(SUPPORTED)),
    };
    if document.as_object().is_none() {
        return Err(Status::bad_request(format!("the object provided is not a JSON object but {}", document.type_name())));
    }
    Ok(Input { document, warnings: Vec::new(), duplicates })
}

/// Reads YAML, and names a field that stands twice.
fn yaml(bytes: &[u8]) -> Result<(Value, Vec<String>), Status> {
    let refuse = |error: &dyn std::fmt::Display| Status::bad_request(format!("error decoding YAML: {error}"));
    let text = std::str::from_utf8(bytes).map_err(|error| refuse(&error))?;
    let strict = serde_saphyr::options! { legacy_octal_numbers: true };
    let error = match serde_saphyr::from_str_with_options::<serde_json::Value>(text, strict) {
        Ok(value) => return Ok((value.into(), Vec::new())),
        Err(error) => error,
    };
    let shown = error.to_string();
    let Some((_, key)) = shown.split_once("duplicate mapping key: ") else { return Err(refuse(&error)) };
    let key = key.split([',', '\n', ' ']).next().unwrap_or_default().trim_matches('`');
    let line = error.location().map_or(0, |location| location.line());
    let lenient = serde_saphyr::options! {
        legacy_octal_numbers: true,
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
    };
    let value: serde_json::Value = serde_saphyr::from_str_with_options(text, lenient).map_err(|error| refuse(&error))?;
    Ok((value.into(), vec![format!("line {line}: key \"{key}\" already set in map")]))
}

/// Reads YAML; JSON is YAML too.
pub fn parse_yaml(bytes: &[u8]) -> Result<Value, Status> {
    yaml(bytes).map(|(value, _)| value)
}

/// Reads a document of the call's kind, with `apiVersion` and `kind` as the path says.
pub fn object(call: &Call, bytes: &[u8]) -> Result<Input, Status> {
    let mut input = parse(call, bytes)?;
    check_kind(call, &mut input.document)?;
    check_fields(call, &mut input)?;
    Ok(input)
}

/// Reads a configuration of server-side apply, which may name no field that its kind does not have.
pub fn configuration(call: &Call, bytes: &[u8]) -> Result<Input, Status> {
    let mut input = parse(call, bytes)?;
    check_kind(call, &mut input.document)?;
    let unknown = call.version().schema().map(|schema| schema::unknown_fields(&input.document, schema)).unwrap_or_default();
    if !unknown.is_empty() {
        let fields: Vec<String> = unknown.iter().map(|path| format!(".{path}: field not declared in schema")).collect();
        let list = if fields.len() == 1 { fields.concat() } else { format!("errors:\n  {}", fields.join("\n  ")) };
        let (namespace, kind) = (call.namespace(), &call.kind.kind);
        let text = format!(
            "failed to create typed patch object ({namespace}/{}; {}, Kind={kind}): {list}",
            call.path.name,
            call.api_version()
        );
        return Err(Status::new(api::status::Reason::Unknown, text));
    }
    check_fields(call, &mut input)?;
    Ok(input)
}

/// Fills in or compares `apiVersion` and `kind`.
fn check_kind(call: &Call, document: &mut Value) -> Result<(), Status> {
    let expected = meta::join_api_version(&call.kind.group, &call.version().name);
    for (field, expected) in [("apiVersion", expected.as_str()), ("kind", &*call.kind.kind)] {
        match document.str_at(&[field]).unwrap_or_default() {
            "" => document.set_at(&[field], expected),
            given if given == expected => {}
            given => {
                let text = format!("{field} in the data ({given}) does not match the expected {field} ({expected})");
                return Err(Status::bad_request(format!("the object provided is unrecognized: {text}")));
            }
        }
    }
    if document.get(&["metadata"]).is_none_or(Value::is_null) {
        document.set_at(&["metadata"], Value::object());
    }
    Ok(())
}

/// Reports unknown fields and, for built-in kinds, takes them away as a typed decoder would.
pub fn check_fields(call: &Call, input: &mut Input) -> Result<(), Status> {
    let Some(schema) = call.version().schema() else { return Ok(()) };
    let mut odd: Vec<String> = Vec::new();
    for path in schema::unknown_fields(&input.document, schema) {
        odd.push(format!("unknown field \"{path}\""));
    }
    odd.append(&mut input.duplicates);
    judge(call, &mut input.warnings, odd)?;
    if !call.kind.custom {
        schema::decode(&mut input.document, schema).map_err(|error| {
            let (kind, version) = (&call.kind.kind, &call.version().name);
            Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {error}"))
        })?;
        schema::prune(&mut input.document, schema);
    }
    Ok(())
}

fn judge(call: &Call, warnings: &mut Vec<String>, problems: Vec<String>) -> Result<(), Status> {
    let validation = match call.query.get("fieldValidation") {
        None | Some("Warn") => Validation::Warn,
        Some("Ignore") => Validation::Ignore,
        Some("Strict") => Validation::Strict,
        Some(given) => {
            let supported = ["Ignore", "Strict", "Warn"];
            let error = api::status::FieldError::not_supported("fieldValidation", given, &supported);
            return Err(Status::invalid("meta.k8s.io", "CreateOptions", "", &[error]));
        }
    };
    match validation {
        Validation::Ignore => {}
        Validation::Warn => warnings.extend(problems),
        Validation::Strict if problems.is_empty() => {}
        Validation::Strict => {
            let kind = &call.kind.kind;
            let version = &call.version().name;
            let text = problems.join(", ");
            return Err(Status::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {text}"
            )));
        }
    }
    Ok(())
}

/// The options of a write in the query.
pub fn options(call: &Call) -> Result<Options, Status> {
    let mut dry_run = false;
    for value in call.query.all("dryRun").filter(|value| !value.is_empty()) {
        if value != "All" {
            let error = api::status::FieldError::not_supported("dryRun", value, &["All"]);
            return Err(Status::invalid("meta.k8s.io", "CreateOptions", "", &[error]));
        }
        dry_run = true;
    }
    let manager = match call.query.get("fieldManager") {
        Some(manager) if manager.len() > MANAGER_MAX => {
            let error = api::status::FieldError::too_long("fieldManager", MANAGER_MAX);
            return Err(Status::invalid("meta.k8s.io", "CreateOptions", "", &[error]));
        }
        Some(manager) => manager.to_owned(),
        None => default_manager(&call.parts.headers),
    };
    Ok(Options { dry_run, manager, ..Options::default() })
}

/// Who writes when nothing says so: the first part of the `User-Agent`.
fn default_manager(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("unknown");
    let name: String =
        agent.split('/').next().unwrap_or(agent).chars().filter(|letter| !letter.is_control()).take(MANAGER_MAX).collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// The answer of a write: the object in the request's version and form.
pub fn written(call: &Call, mut written: Written, warnings: &[String]) -> http::Response<Body> {
    let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = match call.form {
        Form::Table => {
            let mut table = render::table_head(call.version());
            let row = render::row(&call.kind, call.version(), written.object, render::Rows::Metadata, call.now);
            table.set_at(&["rows"], Value::Array(vec![row]));
            answer(code, &table)
        }
        Form::Metadata => answer(code, &render::metadata_only(&written.object)),
        Form::Object => match &written.stored {
            Some((bytes, revision)) if render::is_plain(&call.kind, call.version()) => {
                let mut out = Vec::with_capacity(bytes.len() + 64);
                render::splice(&mut out, bytes, *revision);
                out.push(b'\n');
                render::json(code, out)
            }
            _ => {
                call.kind.to_served(call.version(), &mut written.object);
                answer(code, &written.object)
            }
        },
    };
    for warning in warnings.iter().chain(&written.warnings) {
        render::warn(response.headers_mut(), warning);
    }
    response
}
