//! How much one call may make. Go would go on until memory ends; here it is an error that says so.

use super::Failure;

/// Bytes of one text.
pub const TEXT_BYTES_MAX: usize = 256 << 20;
/// Elements of one list.
pub const LIST_ITEMS_MAX: usize = 4 << 20;

/// Refuses a text that would be too long.
pub fn text(length: usize) -> Result<usize, Failure> {
    if length > TEXT_BYTES_MAX {
        Err(Failure::new(format!("a text of more than {TEXT_BYTES_MAX} bytes is refused")))
    } else {
        Ok(length)
    }
}

/// Refuses a list that would be too long.
pub fn list(length: usize) -> Result<usize, Failure> {
    if length > LIST_ITEMS_MAX {
        Err(Failure::new(format!("a list of more than {LIST_ITEMS_MAX} items is refused")))
    } else {
        Ok(length)
    }
}
