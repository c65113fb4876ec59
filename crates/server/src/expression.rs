//! CEL: the rules that definitions of custom kinds carry, and the expressions of admission policies and match conditions.
//!
//! Never reads the store: what an expression may see is handed in.

mod parse;
pub(crate) mod written;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use api::document::Value;
use api::status::{FieldError, FieldErrorKind};
use base64::Engine as _;
use kube_cel::cel::{self, Context};
use kube_cel::{CompiledSchema, KubeCelExt as _, Validator, compile_schema};

/// A schema, held so that its place stays its own, and its rules.
type Compiled = (Arc<Value>, Arc<CompiledSchema>);

/// The compiled rules of the schemas that are in use. A schema is known by its place in memory, which it keeps while it is held here.
#[derive(Default)]
pub(crate) struct Rules(Mutex<HashMap<usize, Compiled>>);

impl Rules {
    /// Forgets schemas that no kind has any more.
    pub(crate) fn forget_unused(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (schema, _)| Arc::strong_count(schema) > 1);
    }

    fn compiled(&self, schema: &Arc<Value>) -> Arc<CompiledSchema> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = Arc::as_ptr(schema) as usize;
        let entry = known
            .entry(place)
            .or_insert_with(|| (Arc::clone(schema), Arc::new(compile_schema(&serde_json::Value::from(&**schema)))));
        Arc::clone(&entry.1)
    }

    /// What of a schema's `x-kubernetes-validations` an object breaks.
    pub(crate) fn violations(&self, schema: &Arc<Value>, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let compiled = self.compiled(schema);
        let (object, before) = (serde_json::Value::from(new), old.map(serde_json::Value::from));
        let Err(errors) = Validator::new().validate_compiled(&compiled, &object, before.as_ref()) else { return Vec::new() };
        let error = |error: &kube_cel::ValidationError| {
            let kind = match error.reason.as_deref() {
                Some("FieldValueForbidden") => FieldErrorKind::Forbidden,
                Some("FieldValueRequired") => FieldErrorKind::Required,
                Some("FieldValueDuplicate") => FieldErrorKind::Duplicate,
                _ => FieldErrorKind::Invalid,
            };
            let path: Vec<&str> = error.field_path.split('.').filter(|part| !part.is_empty()).collect();
            let bad = match new.get(&path) {
                Some(Value::Object(_)) | None => Value::from("object"),
                Some(Value::Array(_)) => Value::from("array"),
                Some(value) => value.clone(),
            };
            FieldError { kind, field: error.field_path.clone(), bad, detail: error.message.clone() }
        };
        errors.as_slice().iter().map(error).collect()
    }
}

/// The variables that an expression sees.
pub(crate) struct Scope(Context<'static>);

/// Why an expression has no value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExpressionError {
    /// It is malformed.
    #[error("compilation failed: {0}")]
    Compile(String),
    /// It failed on what it was given.
    #[error("{0}")]
    Evaluate(String),
}

impl Scope {
    /// No variables; Kubernetes' functions.
    pub(crate) fn new() -> Self {
        Self(Context::default().with_all())
    }

    /// Puts a variable.
    pub(crate) fn put(&mut self, name: &str, value: &Value) {
        self.put_value(name, cel_value(value));
    }

    fn put_value(&mut self, name: &str, value: cel::Value) {
        self.0.add_variable_from_value(name.to_owned(), value);
    }

    /// Puts the values of `variables.name`, each of which may use those before it.
    pub(crate) fn put_variables(&mut self, variables: &[Value]) {
        let mut known: HashMap<String, cel::Value> = HashMap::new();
        self.put_value("variables", cel::Value::from(known.clone()));
        for variable in variables {
            let text = |field: &str| variable.str_at(&[field]).unwrap_or_default();
            // A variable that fails is missing, and fails only what uses it.
            if let Ok(value) = self.value(text("expression")) {
                known.insert(text("name").to_owned(), value);
                self.put_value("variables", cel::Value::from(known.clone()));
            }
        }
    }

    fn value(&self, expression: &str) -> Result<cel::Value, ExpressionError> {
        let parsed = parse::parsed(expression)?;
        cel::Value::resolve(&parsed, &self.0).map_err(|error| ExpressionError::Evaluate(error.to_string()))
    }

    /// The document that an expression makes: an object, or a list of them.
    pub(crate) fn document(&self, expression: &str) -> Result<Value, ExpressionError> {
        document_of(&self.value(expression)?)
    }

    /// The truth of an expression.
    pub(crate) fn holds(&self, expression: &str) -> Result<bool, ExpressionError> {
        match self.value(expression)? {
            cel::Value::Bool(truth) => Ok(truth),
            other => Err(ExpressionError::Evaluate(format!("expression evaluated to a value that is no bool: {other:?}"))),
        }
    }

    /// The text that an expression makes, if it makes one.
    pub(crate) fn text(&self, expression: &str) -> Option<String> {
        match self.value(expression).ok()? {
            cel::Value::String(text) => Some(text.to_string()),
            _ => None,
        }
    }
}

fn cel_value(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(flag) => cel::Value::Bool(*flag),
        Value::Int(number) => cel::Value::Int(*number),
        Value::Float(number) => cel::Value::Float(*number),
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(cel_value).collect())),
        Value::Object(map) => {
            let fields: HashMap<String, cel::Value> =
                map.iter().map(|(name, value)| (name.to_owned(), cel_value(value))).collect();
            cel::Value::from(fields)
        }
    }
}

/// A value as a document, as far as JSON has one like it.
fn document_of(value: &cel::Value) -> Result<Value, ExpressionError> {
    let unfit = |what: String| ExpressionError::Evaluate(format!("a value that is no JSON: {what}"));
    Ok(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(flag) => (*flag).into(),
        cel::Value::Int(number) => (*number).into(),
        cel::Value::UInt(number) => i64::try_from(*number).map_err(|_| unfit(number.to_string()))?.into(),
        cel::Value::Float(number) => Value::Float(*number),
        cel::Value::String(text) => text.as_str().into(),
        cel::Value::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode(&**bytes).into(),
        cel::Value::List(items) => Value::Array(items.iter().map(document_of).collect::<Result<_, _>>()?),
        cel::Value::Map(map) => {
            let mut fields: Vec<(String, &cel::Value)> = map.map.iter().map(|(key, value)| (key.to_string(), value)).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            let mut object = Value::object();
            for (name, value) in fields {
                object.set_at(&[name.as_str()], document_of(value)?);
            }
            object
        }
        other => return Err(unfit(format!("{other:?}"))),
    })
}
