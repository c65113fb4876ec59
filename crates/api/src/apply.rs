//! Server-side apply: who owns which field, as `managedFields` records it (FieldsV1).
//!
//! Never decides who may write; it merges, finds conflicts and keeps the record.

use crate::document::Value;
use crate::schema::Schema;
use crate::status::Status;
use jiff::Timestamp;

/// Who writes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Manager<'a> {
    /// The field manager's name.
    pub name: &'a str,
    /// The subresource that is written, such as `status`.
    pub subresource: Option<&'a str>,
    /// The time of the request.
    pub now: Timestamp,
}

/// Applies a configuration to an object (`live`; `None` creates). Both are in `api_version` of the request, which the configuration
/// names too. The result carries the new `managedFields`; `ignored` are fields that this endpoint never lets a manager own (`status` on the main one).
///
/// # Errors
/// A conflict (409) that names each field and manager unless `force`, or a bad request for a malformed configuration.
pub fn apply(
    _live: Option<&Value>,
    _configuration: &Value,
    _schema: &Schema,
    _manager: Manager<'_>,
    _force: bool,
    _ignored: &[&[&str]],
) -> Result<Value, Status> {
    Err(Status::bad_request("server-side apply is not served yet"))
}

/// Records a create, update or other patch: fields of `new` that differ from `old` become the manager's, with operation `Update`.
/// Puts the record into `new`. When nothing but the record would change, `new` keeps the record of `old`.
pub fn record_update(_old: Option<&Value>, _new: &mut Value, _schema: &Schema, _manager: Manager<'_>, _ignored: &[&[&str]]) {}
