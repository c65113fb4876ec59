//! What goes wrong, as clients parse it: one table reason → code, and upstream's wording.
//!
//! Nobody builds a `Status` by hand; every refusal has a constructor here.

mod field;
#[cfg(test)]
mod tests;

pub(crate) use field::go_quote;
pub use field::{FieldError, FieldErrorKind, FieldPath};

use serde::ser::{Serialize, SerializeMap, Serializer};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)+) => {
        /// Why a request failed, in a word that clients compare.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)+ }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The HTTP status code.
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)+ }
            }

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

reasons! {
    /// The request makes no sense.
    BadRequest = 400, "BadRequest";
    /// Nobody knows who asks.
    Unauthorized = 401, "Unauthorized";
    /// Who asks may not do this.
    Forbidden = 403, "Forbidden";
    /// There is no such thing.
    NotFound = 404, "NotFound";
    /// The verb does not apply here.
    MethodNotAllowed = 405, "MethodNotAllowed";
    /// No offered form of the answer is acceptable.
    NotAcceptable = 406, "NotAcceptable";
    /// The name is taken.
    AlreadyExists = 409, "AlreadyExists";
    /// The object changed meanwhile, or fields belong to someone else.
    Conflict = 409, "Conflict";
    /// A continue token or revision is too old.
    Expired = 410, "Expired";
    /// The thing was here and is gone.
    Gone = 410, "Gone";
    /// The body is too large.
    RequestEntityTooLarge = 413, "RequestEntityTooLarge";
    /// The body's form is not understood.
    UnsupportedMediaType = 415, "UnsupportedMediaType";
    /// The object breaks a rule.
    Invalid = 422, "Invalid";
    /// Come back later.
    TooManyRequests = 429, "TooManyRequests";
    /// Our own fault.
    InternalError = 500, "InternalError";
    /// Not served for now.
    ServiceUnavailable = 503, "ServiceUnavailable";
    /// The server could not finish in time, and may have done it or not.
    ServerTimeout = 500, "ServerTimeout";
    /// The time for the request is over.
    Timeout = 504, "Timeout";
    /// Not one of the known reasons: the code speaks.
    Unknown = 500, "";
}

/// One reason among several for one refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The machine-readable word, such as `FieldValueInvalid`.
    pub reason: String,
    /// For humans.
    pub message: String,
    /// The field, such as `spec.replicas`.
    pub field: String,
}

/// What a refusal is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The object's name.
    pub name: String,
    /// The group of the kind.
    pub group: String,
    /// The resource's plural, or the kind with `invalid`.
    pub kind: String,
    /// The object's uid.
    pub uid: String,
    /// Each reason.
    pub causes: Vec<Cause>,
    /// When to try again; 0 says nothing.
    pub retry_after_seconds: u32,
}

/// A refusal, or with [`Status::success`] the answer of a deletion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// Why.
    pub reason: Reason,
    /// The HTTP status code: the reason's, unless a proxy handed another one through.
    pub code: u16,
    /// For humans, in upstream's words.
    pub message: String,
    /// What it is about.
    pub details: Option<Box<Details>>,
    /// Whether this says that all went well.
    pub succeeded: bool,
    /// Where a list can go on, inconsistently, that was refused for its age; empty otherwise.
    pub next: String,
}

/// A resource as error texts name it: `pods`, `deployments.apps`.
pub fn qualified(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

impl Status {
    /// A refusal for a reason, without details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, code: reason.code(), message: message.into(), details: None, succeeded: false, next: String::new() }
    }

    /// A refusal about one object.
    pub fn about(reason: Reason, group: &str, plural: &str, name: &str, message: impl Into<String>) -> Self {
        let details = Details { name: name.to_owned(), group: group.to_owned(), kind: plural.to_owned(), ..Details::default() };
        Self { details: Some(Box::new(details)), ..Self::new(reason, message) }
    }

    /// All went well: what a deletion answers when the object is gone at once.
    pub fn success(group: &str, plural: &str, name: &str, uid: &str) -> Self {
        let details = Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: plural.to_owned(),
            uid: uid.to_owned(),
            ..Details::default()
        };
        let details = Some(Box::new(details));
        Self { reason: Reason::Unknown, code: 200, message: String::new(), details, succeeded: true, next: String::new() }
    }

    /// There is no object of this name.
    pub fn not_found(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", qualified(group, plural));
        Self::about(Reason::NotFound, group, plural, name, message)
    }

    /// There is no such path.
    pub fn no_such_resource() -> Self {
        let details = Details {
            causes: vec![Cause {
                reason: "UnexpectedServerResponse".into(),
                message: "404 page not found".into(),
                ..Cause::default()
            }],
            ..Details::default()
        };
        Self {
            details: Some(Box::new(details)),
            ..Self::new(Reason::NotFound, "the server could not find the requested resource")
        }
    }

    /// The name is taken.
    pub fn already_exists(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", qualified(group, plural));
        Self::about(Reason::AlreadyExists, group, plural, name, message)
    }

    /// The server could not make up a free name.
    pub fn generated_name_conflict(group: &str, plural: &str, name: &str) -> Self {
        let message = format!(
            "{} \"{name}\" already exists, the server was not able to generate a unique name for the object",
            qualified(group, plural)
        );
        let mut status = Self::about(Reason::AlreadyExists, group, plural, name, message);
        if let Some(details) = &mut status.details {
            details.retry_after_seconds = 1;
        }
        status
    }

    /// The change does not fit the object as it is; `why` completes the sentence.
    pub fn conflict(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(group, plural));
        Self::about(Reason::Conflict, group, plural, name, message)
    }

    /// The object changed since it was read.
    pub fn modified(group: &str, plural: &str, name: &str) -> Self {
        Self::conflict(
            group,
            plural,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// Server-side apply meets fields of other managers; `causes` name them.
    pub fn apply_conflict(causes: Vec<Cause>, message: impl Into<String>) -> Self {
        let details = Details { causes, ..Details::default() };
        Self { details: Some(Box::new(details)), ..Self::new(Reason::Conflict, message) }
    }

    /// The object breaks rules. `kind` is the kind, not the plural.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut distinct: Vec<String> = Vec::new();
        for text in errors.iter().map(ToString::to_string) {
            if !distinct.contains(&text) {
                distinct.push(text);
            }
        }
        let aggregate = match distinct.as_slice() {
            [] => "null".to_owned(),
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let message = if name.is_empty() && errors.is_empty() {
            format!("{} \"{name}\" is invalid", qualified(group, kind))
        } else {
            format!("{} \"{name}\" is invalid: {aggregate}", qualified(group, kind))
        };
        let mut status = Self::about(Reason::Invalid, group, kind, name, message);
        if let Some(details) = &mut status.details {
            details.causes = errors
                .iter()
                .map(|error| Cause { reason: error.kind.reason().to_owned(), message: error.body(), field: error.field.clone() })
                .collect();
        }
        status
    }

    /// Who asks may not do this; `why` completes the sentence.
    pub fn forbidden(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let qualified = qualified(group, plural);
        let message = if qualified.is_empty() {
            format!("forbidden: {why}")
        } else if name.is_empty() {
            format!("{qualified} is forbidden: {why}")
        } else {
            format!("{qualified} \"{name}\" is forbidden: {why}")
        };
        Self::about(Reason::Forbidden, group, plural, name, message)
    }

    /// Nobody knows who asks.
    pub fn unauthorized() -> Self {
        Self::new(Reason::Unauthorized, "Unauthorized")
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// The thing was here and is gone.
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(Reason::Gone, message)
    }

    /// A revision or continue token is too old.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(Reason::Expired, message)
    }

    /// A watch or read at a revision that is compacted away.
    pub fn too_old_revision(requested: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {requested} ({oldest})"))
    }

    /// The body is larger than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(Reason::RequestEntityTooLarge, format!("Request entity too large: limit is {limit}"))
    }

    /// The body's form is not understood; `supported` are the media types that would be.
    pub fn unsupported_media_type(supported: &[&str]) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {}", supported.join(", "));
        Self::new(Reason::UnsupportedMediaType, message)
    }

    /// No offered form of the answer is acceptable; `supported` are the media types that would be.
    pub fn not_acceptable(supported: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", supported.join(", "));
        Self::new(Reason::NotAcceptable, message)
    }

    /// The verb does not apply to the resource.
    pub fn method_not_allowed(group: &str, plural: &str, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind \"{}\"", qualified(group, plural));
        Self::about(Reason::MethodNotAllowed, group, plural, "", message)
    }

    /// Our own fault; `what` is shown.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        let details = Details { causes: vec![Cause { message: what.to_string(), ..Cause::default() }], ..Details::default() };
        Self { details: Some(Box::new(details)), ..Self::new(Reason::InternalError, format!("Internal error occurred: {what}")) }
    }

    /// The time for the request is over.
    pub fn timeout(message: impl std::fmt::Display, retry_after_seconds: u32) -> Self {
        Self::new(Reason::Timeout, format!("Timeout: {message}")).retry_after(retry_after_seconds)
    }

    /// The server could not finish in time.
    pub fn server_timeout(group: &str, plural: &str, verb: &str, retry_after_seconds: u32) -> Self {
        let message = format!(
            "The {verb} operation against {} could not be completed at this time, please try again.",
            qualified(group, plural)
        );
        Self::about(Reason::ServerTimeout, group, plural, verb, message).retry_after(retry_after_seconds)
    }

    /// Come back later.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::new(Reason::TooManyRequests, message).retry_after(retry_after_seconds)
    }

    /// Not served for now.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(Reason::ServiceUnavailable, message)
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        if seconds > 0 {
            self.details.get_or_insert_default().retry_after_seconds = seconds;
        }
        self
    }

    /// When to try again, if this says so.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0)
    }

    /// The `v1` Status object.
    pub fn to_value(&self) -> crate::document::Value {
        crate::document::Value::encode(self)
    }

    /// The `v1` Status object as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        self.to_value().to_json()
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", "Status")?;
        map.serialize_entry("apiVersion", "v1")?;
        let mut metadata = serde_json::Map::new();
        if !self.next.is_empty() {
            metadata.insert("continue".into(), self.next.as_str().into());
        }
        map.serialize_entry("metadata", &metadata)?;
        map.serialize_entry("status", if self.succeeded { "Success" } else { "Failure" })?;
        if !self.message.is_empty() {
            map.serialize_entry("message", &self.message)?;
        }
        if !self.succeeded && !self.reason.as_str().is_empty() {
            map.serialize_entry("reason", self.reason.as_str())?;
        }
        if let Some(details) = &self.details {
            map.serialize_entry("details", &**details)?;
        }
        map.serialize_entry("code", &self.code)?;
        map.end()
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (field, text) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)] {
            if !text.is_empty() {
                map.serialize_entry(field, text)?;
            }
        }
        if !self.causes.is_empty() {
            map.serialize_entry("causes", &self.causes)?;
        }
        if self.retry_after_seconds > 0 {
            map.serialize_entry("retryAfterSeconds", &self.retry_after_seconds)?;
        }
        map.end()
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (field, text) in [("reason", &self.reason), ("message", &self.message), ("field", &self.field)] {
            if !text.is_empty() {
                map.serialize_entry(field, text)?;
            }
        }
        map.end()
    }
}
