//! Rings of OpenPGP keys, and what a key of them signed or signs. It never asks for passphrases, and knows no charts.

use std::path::Path;

use pgp::armor::Dearmor;
use pgp::composed::{ArmorOptions, Deserializable as _, DetachedSignature, SignedPublicKey, SignedSecretKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    Packet, PacketParser, PublicKey, PublicSubkey, RevocationCode, SecretKey, Signature, SignatureConfig, SignatureType,
    Subpacket, SubpacketData,
};
use pgp::types::{KeyDetails, KeyVersion, Password, SignedUser, Tag, Timestamp};

use super::super::Fault;
use super::super::chart_files::go_error;
use super::keybox;

/// How long a salt is for SHA-512.
const SALT: usize = 32;

/// A name that a key says of itself, and that it signed.
struct User {
    name: String,
    about: Option<Signature>,
    revocations: Vec<Signature>,
}

/// A key below another.
struct Subkey {
    key: PublicSubkey,
    about: Signature,
    revocations: Vec<Signature>,
}

/// One who signs: a key, and what it says of itself. Only what the key itself signed is in here.
pub(super) struct Owner {
    primary: PublicKey,
    secret: Option<SecretKey>,
    users: Vec<User>,
    direct: Option<Signature>,
    subkeys: Vec<Subkey>,
    revocations: Vec<Signature>,
}

/// Keys of a file.
pub(super) struct Keyring(Vec<Owner>);

fn invalid(why: impl std::fmt::Display) -> Fault {
    Fault::new(format!("openpgp: invalid data: {why}"))
}

impl Keyring {
    /// Reads a file in any of the forms that GnuPG writes.
    pub(super) fn load(path: &Path) -> Result<Self, Fault> {
        let bytes = std::fs::read(path).map_err(|error| {
            let what = if error.kind() == std::io::ErrorKind::IsADirectory { "read" } else { "open" };
            Fault::new(go_error(what, path, &error))
        })?;
        let shown = path.display();
        if keybox::is_keybox(&bytes) {
            let keys = keybox::keys(&bytes).map_err(|why| Fault::new(format!("reading keybox {shown}: {why}")))?;
            return Self::parse(&keys);
        }
        let text = String::from_utf8_lossy(&bytes);
        if text.trim_start().starts_with("-----BEGIN PGP") {
            let read = armored(text.trim_start());
            return read.map_err(|fault| Fault::new(format!("reading armored keyring {shown}: {}", fault.text)));
        }
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.first().is_some_and(|first| first & 0x80 == 0) {
            return Err(invalid("tag byte does not have MSB set"));
        }
        let mut groups: Vec<Vec<Packet>> = Vec::new();
        let mut unread = None;
        for packet in PacketParser::new(bytes) {
            match packet {
                // GnuPG's own notes, and what is there to be passed over.
                Ok(Packet::Trust(_) | Packet::Marker(_) | Packet::Padding(_)) => {}
                Ok(packet @ (Packet::PublicKey(_) | Packet::SecretKey(_))) => groups.push(vec![packet]),
                Ok(packet) => groups.last_mut().into_iter().for_each(|group| group.push(packet.clone())),
                Err(error) => unread = Some(invalid(error)),
            }
        }
        let mut owners = Vec::new();
        for group in groups {
            match Owner::of(group) {
                Ok(owner) => owners.push(owner),
                Err(fault) => unread = Some(fault),
            }
        }
        match unread {
            Some(fault) if owners.is_empty() => Err(fault),
            _ => Ok(Self(owners)),
        }
    }

    /// The key whose name is this, or the one key whose name has it in it.
    pub(super) fn named(&self, id: &str) -> Result<Option<&Owner>, Fault> {
        let names = || self.0.iter().flat_map(|owner| owner.names().map(move |name| (owner, name)));
        if let Some((owner, _)) = names().find(|(_, name)| *name == id) {
            return Ok(Some(owner));
        }
        let mut near = names().filter(|(_, name)| name.contains(id)).map(|(owner, _)| owner);
        let first = near.next();
        match near.next() {
            Some(_) => Err(Fault::new(format!("more than one key contain the id {id:?}"))),
            None => Ok(first),
        }
    }

    /// Whose armored signature over these bytes it is.
    pub(super) fn signer(&self, signed: &[u8], armored: &str) -> Result<&Owner, Fault> {
        let (signatures, _) = DetachedSignature::from_armor_many(armored.as_bytes()).map_err(invalid)?;
        for signature in signatures {
            let signature = signature.map_err(invalid)?.signature;
            if signature.issuer_key_id().is_empty() && signature.issuer_fingerprint().is_empty() {
                return Err(invalid("signature doesn't have an issuer"));
            }
            let mut keys = self.0.iter().flat_map(|owner| owner.keys(&signature)).peekable();
            if keys.peek().is_none() {
                continue;
            }
            let mut refused = None;
            for key in keys {
                match key.verify(&signature, signed) {
                    Ok(()) => return key.check(&signature, Timestamp::now()).map(|()| key.owner),
                    Err(fault) => refused = Some(fault),
                }
            }
            return Err(refused.unwrap_or_else(unknown));
        }
        Err(unknown())
    }
}

fn unknown() -> Fault {
    Fault::new("openpgp: signature made by unknown entity")
}

fn armored(text: &str) -> Result<Keyring, Fault> {
    let mut owners = Vec::new();
    for block in text.split("-----BEGIN ").skip(1) {
        let kind = block.split("-----").next().unwrap_or_default();
        if !matches!(kind, "PGP PUBLIC KEY BLOCK" | "PGP PRIVATE KEY BLOCK") {
            return Err(Fault::new(format!("expected a public or private key block, got {kind:?}")));
        }
        let mut bytes = Vec::new();
        let block = format!("-----BEGIN {block}");
        std::io::Read::read_to_end(&mut Dearmor::new(block.as_bytes()), &mut bytes).map_err(invalid)?;
        owners.extend(Keyring::parse(&bytes)?.0);
    }
    if owners.is_empty() { Err(Fault::new("no keys found")) } else { Ok(Keyring(owners)) }
}

/// The newest of some signatures.
fn newest(signatures: impl Iterator<Item = Signature>) -> Option<Signature> {
    signatures.reduce(|old, new| if new.created() > old.created() { new } else { old })
}

impl Owner {
    /// Takes a key's packets, and leaves out what the key did not sign.
    fn of(packets: Vec<Packet>) -> Result<Self, Fault> {
        let is_secret = matches!(packets.first(), Some(Packet::SecretKey(_)));
        let packets = packets.into_iter().map(Ok).peekable();
        let missing = || invalid("first packet was not a public/private key");
        let (key, secret) = if is_secret {
            let key = SignedSecretKey::from_packets(packets).next().ok_or_else(missing)?.map_err(invalid)?;
            (key.to_public_key(), Some(key.primary_key))
        } else {
            (SignedPublicKey::from_packets(packets).next().ok_or_else(missing)?.map_err(invalid)?, None)
        };
        let primary = key.primary_key;
        let users: Vec<User> =
            key.details.users.into_iter().map(|user| User::of(user, &primary)).filter(|user| user.about.is_some()).collect();
        if users.is_empty() && primary.version() < KeyVersion::V6 {
            return Err(invalid(format!("v{} entity without any identities", u8::from(primary.version()))));
        }
        let valid = |signatures: Vec<Signature>| signatures.into_iter().filter(|it| it.verify_key(&primary).is_ok());
        let direct = newest(valid(key.details.direct_signatures));
        let revocations = valid(key.details.revocation_signatures).collect();
        let subkeys = key.public_subkeys.into_iter().filter_map(|key| {
            let bound = |it: &Signature| it.verify_subkey_binding(&primary, &key.key).is_ok();
            let valid: Vec<Signature> = key.signatures.iter().filter(|it| bound(it)).cloned().collect();
            let is = |kind| move |it: &Signature| it.typ() == Some(kind);
            let revocations = valid.iter().filter(|it| is(SignatureType::SubkeyRevocation)(it)).cloned().collect();
            let about = newest(valid.into_iter().filter(is(SignatureType::SubkeyBinding)))?;
            Some(Subkey { key: key.key, about, revocations })
        });
        let subkeys = subkeys.collect();
        Ok(Self { primary, secret, users, direct, subkeys, revocations })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.users.iter().map(|user| user.name.as_str())
    }

    /// Its names, as they stand in the ring.
    pub(super) fn signers(&self) -> Vec<String> {
        self.names().map(str::to_owned).collect()
    }

    /// Its fingerprint in capital letters.
    pub(super) fn fingerprint(&self) -> String {
        format!("{:X}", self.primary.fingerprint())
    }

    /// The name that counts most.
    fn main_user(&self) -> Option<&User> {
        let rank = |user: &User| {
            let about = user.about.as_ref();
            let main = about.is_some_and(Signature::is_primary);
            (std::cmp::Reverse(user.revocations.len()), main, about.and_then(Signature::created))
        };
        self.users.iter().reduce(|one, other| if rank(other) > rank(one) { other } else { one })
    }

    /// What the key says of itself.
    fn about(&self) -> Option<&Signature> {
        if self.primary.version() >= KeyVersion::V6 {
            return self.direct.as_ref();
        }
        self.main_user().and_then(|user| user.about.as_ref())
    }

    /// Its keys that a signature names and that may sign.
    fn keys(&self, signature: &Signature) -> Vec<Key<'_>> {
        let named = |key: &dyn KeyDetails| {
            signature.issuer_key_id().contains(&&key.legacy_key_id())
                || signature.issuer_fingerprint().contains(&&key.fingerprint())
        };
        let mut keys = Vec::new();
        if let Some(about) = self.about().filter(|_| named(&self.primary)) {
            keys.push(Key { owner: self, about, subkey: None });
        }
        let below = self.subkeys.iter().filter(|subkey| named(&subkey.key));
        keys.extend(below.map(|subkey| Key { owner: self, about: &subkey.about, subkey: Some(subkey) }));
        keys.retain(|key| key.about.key_flags().sign());
        keys
    }

    /// The secret part, where it is in the ring.
    pub(super) fn secret(&self) -> Result<&SecretKey, Fault> {
        self.secret
            .as_ref()
            .ok_or_else(|| Fault::new("provided key is not a private key. Try providing a keyring with secret keys"))
    }

    /// Whether it takes a passphrase to sign.
    pub(super) fn is_locked(&self) -> bool {
        self.secret.as_ref().is_some_and(|key| key.secret_params().is_encrypted())
    }

    /// The armored signature over a text.
    pub(super) fn sign(&self, text: &str, passphrase: &str) -> Result<String, Fault> {
        let secret = self.secret()?;
        let passphrase = Password::from(passphrase);
        match secret.unlock(&passphrase, |_, _| Ok(())) {
            Ok(done) => done.map_err(invalid)?,
            Err(_) => return Err(invalid("private key checksum failure")),
        }
        let (kind, hash) = (SignatureType::Text, HashAlgorithm::Sha512);
        let mut config = if secret.version() >= KeyVersion::V6 {
            SignatureConfig::v6_with_salt(kind, secret.algorithm(), hash, rand::random::<[u8; SALT]>().to_vec())
        } else {
            let mut config = SignatureConfig::v4(kind, secret.algorithm(), hash);
            config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(secret.legacy_key_id()))?];
            config
        };
        config.hashed_subpackets = vec![
            Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::now()))?,
            Subpacket::regular(SubpacketData::IssuerFingerprint(secret.fingerprint()))?,
        ];
        let signature = DetachedSignature::new(config.sign(secret, &passphrase, text.as_bytes())?);
        Ok(signature.to_armored_string(ArmorOptions { headers: None, include_checksum: false })?)
    }
}

impl User {
    fn of(user: SignedUser, primary: &PublicKey) -> Self {
        let own = |it: &Signature| it.verify_certification(primary, Tag::UserId, &user.id).is_ok();
        let valid: Vec<Signature> = user.signatures.iter().filter(|it| own(it)).cloned().collect();
        let (revocations, others): (Vec<_>, Vec<_>) =
            valid.into_iter().partition(|it| it.typ() == Some(SignatureType::CertRevocation));
        let name = String::from_utf8_lossy(user.id.id()).into_owned();
        Self { name, about: newest(others.into_iter()), revocations }
    }
}

/// A key that may have made a signature.
struct Key<'k> {
    owner: &'k Owner,
    /// What binds it.
    about: &'k Signature,
    subkey: Option<&'k Subkey>,
}

impl Key<'_> {
    fn verify(&self, signature: &Signature, signed: &[u8]) -> Result<(), Fault> {
        let done = match self.subkey {
            None => signature.verify(&self.owner.primary, signed),
            Some(subkey) => signature.verify(&subkey.key, signed),
        };
        done.map_err(|_| {
            let algorithm = self.subkey.map_or(self.owner.primary.algorithm(), |subkey| subkey.key.algorithm());
            let name = format!("{algorithm:?}");
            let name = name.trim_end_matches("Legacy").trim_end_matches("Sign");
            Fault::new(format!("openpgp: invalid signature: {name} verification failure"))
        })
    }

    /// Whether a right signature counts: neither it nor the key is revoked or out of date.
    fn check(&self, signature: &Signature, now: Timestamp) -> Result<(), Fault> {
        let owner = self.owner;
        let about = owner.about().unwrap_or(self.about);
        let mut involved = vec![signature, about];
        if let Some(subkey) = self.subkey {
            let backwards = subkey.about.embedded_signature();
            let owned = |it: &&Signature| it.verify_primary_key_binding(&subkey.key, &owner.primary).is_ok();
            let unowned = || Fault::new("openpgp: invalid data: signing subkey is missing cross-signature");
            involved.extend([&subkey.about, backwards.filter(owned).ok_or_else(unowned)?]);
        }
        if let Some(notation) = involved.iter().copied().flat_map(critical_notations).next() {
            return Err(Fault::new(format!("openpgp: invalid signature: unknown critical notation: {notation}")));
        }
        let user = owner.main_user().filter(|_| owner.primary.version() < KeyVersion::V6);
        let below = self.subkey.map_or(&[][..], |subkey| &subkey.revocations);
        let named = user.map_or(&[][..], |user| &user.revocations);
        if [&owner.revocations[..], below, named].iter().any(|some| is_revoked(some, now)) {
            return Err(Fault::new("openpgp: signature made by revoked key"));
        }
        let old = is_over(owner.primary.created_at(), about.key_expiration_time(), now)
            || self.subkey.is_some_and(|it| is_over(it.key.created_at(), it.about.key_expiration_time(), now));
        if old {
            return Err(Fault::new("openpgp: key expired"));
        }
        if involved.iter().any(|it| is_expired(it, now)) {
            return Err(Fault::new("openpgp: signature expired"));
        }
        Ok(())
    }
}

fn critical_notations(signature: &Signature) -> Vec<String> {
    let packets = signature.config().into_iter().flat_map(SignatureConfig::hashed_subpackets);
    let named = packets.filter_map(|packet| match &packet.data {
        SubpacketData::Notation(notation) if packet.is_critical => Some(String::from_utf8_lossy(&notation.name).into_owned()),
        _ => None,
    });
    named.collect()
}

/// A key that others may know is revoked even for what was signed before; other revocations may run out.
fn is_revoked(revocations: &[Signature], now: Timestamp) -> bool {
    let known = |it: &Signature| it.revocation_reason_code() == Some(&RevocationCode::KeyCompromised);
    revocations.iter().any(|it| known(it) || !is_expired(it, now))
}

fn is_expired(signature: &Signature, now: Timestamp) -> bool {
    signature.created().is_some_and(|created| is_over(created, signature.signature_expiration_time(), now))
}

/// Whether a time is over, or has not begun.
fn is_over(begun: Timestamp, lasts: Option<pgp::types::Duration>, now: Timestamp) -> bool {
    let (begun, now) = (u64::from(begun.as_secs()), u64::from(now.as_secs()));
    let lasts = lasts.map_or(0, |lasts| u64::from(lasts.as_secs()));
    begun > now || (lasts > 0 && now > begun + lasts)
}
