//! Hashes of passwords: bcrypt, and the passwords that are derived from a master password.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::super::{Call, Facts, Failure};
use crate::value::{Str, Value};

type Answer = Result<Value, Failure>;

/// Rounds, as a power of two.
const BCRYPT_COST: u32 = 10;
const BCRYPT_ALPHABET: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Longer passwords are refused.
const BCRYPT_PASSWORD_BYTES_MAX: usize = 72;

/// The function `bcrypt`.
pub fn bcrypt(call: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(hashed(call.facts, &args[0].as_text()).into())
}

/// The function `htpasswd`.
pub fn htpasswd(call: &mut Call<'_>, args: &[Value]) -> Answer {
    let user = args[0].as_text();
    if user.contains(&b':') {
        return Ok(Str::from([b"invalid username: ", &*user].concat()).into());
    }
    let hash = hashed(call.facts, &args[1].as_text());
    Ok(Str::from([&*user, b":", hash.as_bytes()].concat()).into())
}

fn hashed(facts: &dyn Facts, password: &[u8]) -> String {
    if password.len() > BCRYPT_PASSWORD_BYTES_MAX {
        return "failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes".to_owned();
    }
    let mut salt = [0; 16];
    facts.random(&mut salt);
    bcrypt_hash(password, &salt, BCRYPT_COST)
}

fn bcrypt_hash(password: &[u8], salt: &[u8; 16], cost: u32) -> String {
    let key = [password, &[0]].concat();
    let key = &key[..key.len().min(BCRYPT_PASSWORD_BYTES_MAX)];
    let mut state = blowfish::Blowfish::bc_init_state();
    state.salted_expand_key(salt, key);
    for _ in 0..1u32 << cost {
        state.bc_expand_key(key);
        state.bc_expand_key(salt);
    }
    let mut digest = Vec::with_capacity(24);
    for chunk in b"OrpheanBeholderScryDoubt".chunks(8) {
        let word = |bytes: &[u8]| bytes.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
        let mut pair = [word(&chunk[..4]), word(&chunk[4..])];
        for _ in 0..64 {
            pair = state.bc_encrypt(pair);
        }
        digest.extend(pair.iter().flat_map(|half| half.to_be_bytes()));
    }
    format!("$2a${cost:02}${}{}", bcrypt_base64(salt), bcrypt_base64(&digest[..23]))
}

fn bcrypt_base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let value = chunk.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            out.push(char::from(BCRYPT_ALPHABET[(value >> (18 - 6 * index) & 0x3f) as usize]));
        }
    }
    out
}

const MASTER_SEED: &[u8] = b"com.lyndir.masterpassword";

/// The shapes of passwords; each letter names a set of characters.
const SHAPES: &[(&str, &[&str])] = &[
    ("maximum", &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"]),
    (
        "long",
        &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
    ),
    ("medium", &["CvcnoCvc", "CvcCvcno"]),
    ("short", &["Cvcn"]),
    ("basic", &["aaanaaan", "aannaaan", "aaannaaa"]),
    ("pin", &["nnnn"]),
];

fn symbols(letter: u8) -> &'static [u8] {
    match letter {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'A' => b"AEIOUBCDFGHJKLMNPQRSTVWXYZ",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

/// The function `derivePassword`.
pub fn derive_password(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let counter = match args[0] {
        Value::Uint(counter, _) => counter as u32,
        _ => 0,
    };
    let [sort, password, user, site] = [1, 2, 3, 4].map(|index| args[index].as_text());
    let Some((_, shapes)) = SHAPES.iter().find(|(name, _)| sort == **name) else {
        return Ok(format!("cannot find password template {sort}").into());
    };
    let salt = [MASTER_SEED, &(user.len() as u32).to_be_bytes(), &user].concat();
    let mut key = [0; 64];
    let derived = scrypt::Params::new(15, 8, 2).ok().and_then(|params| scrypt::scrypt(&password, &salt, &params, &mut key).ok());
    if derived.is_none() {
        return Ok("failed to derive password: scrypt: parameters are too large".into());
    }
    let message = [MASTER_SEED, &(site.len() as u32).to_be_bytes(), &site, &counter.to_be_bytes()].concat();
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).map_err(|error| Failure::new(error.to_string()))?;
    mac.update(&message);
    let seed = mac.finalize().into_bytes();
    let shape = shapes[usize::from(seed[0]) % shapes.len()];
    let symbol = |(index, letter): (usize, u8)| {
        let set = symbols(letter);
        char::from(set[usize::from(seed[index + 1]) % set.len()])
    };
    Ok(shape.bytes().enumerate().map(symbol).collect::<String>().into())
}

#[cfg(test)]
mod tests {
    use super::bcrypt_hash;

    #[test]
    fn bcrypt_gives_the_hash_that_is_known_for_a_password_and_salt() {
        // The salt of the known vector is 22 letters C, which are sixteen bytes of the pattern 0x10 0x41 0x04.
        let salt = [0x10, 0x41, 0x04, 0x10, 0x41, 0x04, 0x10, 0x41, 0x04, 0x10, 0x41, 0x04, 0x10, 0x41, 0x04, 0x10];
        assert_eq!(bcrypt_hash(b"U*U", &salt, 5), "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
    }
}
