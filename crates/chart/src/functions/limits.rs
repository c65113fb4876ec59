//! How much one call may make. Go would go on until memory ends; here it is an error that says so.

use super::Failure;

/// Bytes of one text.
pub const TEXT_BYTES_MAX: usize = 256 << 20;
/// Elements of one list.
pub const LIST_ITEMS_MAX: usize = 4 << 20;

/// Beyond it Go has no room at all, and says so in words of its own.
const GO_ROOM_MAX: usize = 1 << 46;

fn refused(length: usize, most: usize, what: &str, of: &str) -> Result<usize, Failure> {
    if length <= most {
        return Ok(length);
    }
    Err(if length > GO_ROOM_MAX {
        "runtime error: makeslice: len out of range".into()
    } else {
        Failure::new(format!("a {what} of more than {most} {of} is refused"))
    })
}

/// Refuses a text that would be too long.
pub fn text(length: usize) -> Result<usize, Failure> {
    refused(length, TEXT_BYTES_MAX, "text", "bytes")
}

/// Refuses a list that would be too long.
pub fn list(length: usize) -> Result<usize, Failure> {
    // Go would count on until memory ends, so there are no words of its own.
    refused(length.min(GO_ROOM_MAX), LIST_ITEMS_MAX, "list", "items")
}
