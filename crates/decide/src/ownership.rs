//! Whether an object is a controller's own: by its owner reference, and by what the controller selects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// What an object is to a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Its own.
    Own,
    /// Nobody's, and to become its own.
    Adopt,
    /// Its own, and to become nobody's, since it is not selected any more.
    Release,
    /// None of its business.
    Ignore,
}

/// The owner that controls an object.
pub fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// What the object with `meta` is to `owner`, whose selector says whether it is `selected`.
pub fn claim(owner: &ObjectMeta, meta: &ObjectMeta, selected: bool) -> Claim {
    let ending = owner.deletion_timestamp.is_some();
    match controller(meta) {
        Some(reference) if Some(&reference.uid) != owner.uid.as_ref() => Claim::Ignore,
        Some(_) if selected => Claim::Own,
        Some(_) if ending => Claim::Ignore,
        Some(_) => Claim::Release,
        None if selected && !ending && meta.deletion_timestamp.is_none() => Claim::Adopt,
        None => Claim::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    #[test]
    fn objects_are_claimed_by_reference_and_selector() {
        let owner = ObjectMeta { uid: Some("u".into()), ..ObjectMeta::default() };
        let ending = ObjectMeta { deletion_timestamp: Some(Time(jiff::Timestamp::UNIX_EPOCH)), ..owner.clone() };
        let of = |uid: &str| {
            let reference = OwnerReference { uid: uid.into(), controller: Some(true), ..OwnerReference::default() };
            ObjectMeta { owner_references: Some(vec![reference]), ..ObjectMeta::default() }
        };
        let nobodys = ObjectMeta::default();
        for (owner, meta, selected, expected) in [
            (&owner, &of("u"), true, Claim::Own),
            (&owner, &of("u"), false, Claim::Release),
            (&ending, &of("u"), false, Claim::Ignore),
            (&owner, &of("v"), true, Claim::Ignore),
            (&owner, &nobodys, true, Claim::Adopt),
            (&owner, &nobodys, false, Claim::Ignore),
            (&ending, &nobodys, true, Claim::Ignore),
        ] {
            assert_eq!(claim(owner, meta, selected), expected);
        }
    }
}
