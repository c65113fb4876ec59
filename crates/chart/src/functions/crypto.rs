//! Hashes, ciphers, keys and certificates. All entropy comes from the caller's facts.

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{Call, Failure, Function};
use crate::golang::base;
use crate::value::{Str, Type, UintKind, Value};

mod certificates;
mod keys;
mod passwords;

use keys::Key;

const TEXT: Type = Type::String;
const UINT32: Type = Type::Uint(UintKind::Uint32);

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("adler32sum", &[TEXT], "The Adler-32 checksum.", adler32),
    Function::fixed("bcrypt", &[TEXT], "A bcrypt hash.", passwords::bcrypt),
    Function::fixed("decryptAES", &[TEXT, TEXT], "Reads what encryptAES wrote with a password.", decrypt_aes),
    Function::fixed(
        "derivePassword",
        &[UINT32, TEXT, TEXT, TEXT, TEXT],
        "A password made of a master password, a user and a site.",
        passwords::derive_password,
    ),
    Function::fixed("encryptAES", &[TEXT, TEXT], "A text encrypted with a password, in base 64.", encrypt_aes),
    Function::fixed("genPrivateKey", &[TEXT], "A new private key: rsa, dsa, ecdsa or ed25519.", gen_private_key),
    Function::fixed("htpasswd", &[TEXT, TEXT], "A line of a password file, hashed by bcrypt.", passwords::htpasswd),
    Function::fixed("sha1sum", &[TEXT], "The SHA-1 hash.", |_, args| Ok(hex(&Sha1::digest(&*args[0].as_text())).into())),
    Function::fixed("sha256sum", &[TEXT], "The SHA-256 hash.", |_, args| Ok(hex(&Sha256::digest(&*args[0].as_text())).into())),
    Function::fixed("sha512sum", &[TEXT], "The SHA-512 hash.", |_, args| Ok(hex(&Sha512::digest(&*args[0].as_text())).into())),
];

/// Certificates, as a family of their own.
pub const CERTIFICATE_FUNCTIONS: &[Function] = certificates::FUNCTIONS;

type Answer = Result<Value, Failure>;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn adler32(_: &mut Call<'_>, args: &[Value]) -> Answer {
    const MODULUS: u32 = 65_521;
    let (mut a, mut b) = (1u32, 0u32);
    for byte in args[0].as_text().iter() {
        a = (a + u32::from(*byte)) % MODULUS;
        b = (b + a) % MODULUS;
    }
    Ok((b << 16 | a).to_string().into())
}

fn gen_private_key(call: &mut Call<'_>, args: &[Value]) -> Answer {
    let sort = args[0].as_text();
    let key = match &*sort {
        b"" | b"rsa" => Key::new_rsa(call.facts, 4096),
        b"dsa" => Key::new_dsa(call.facts),
        b"ecdsa" => Key::new_ec(call.facts),
        b"ed25519" => Some(Key::new_ed25519(call.facts)),
        _ => return Ok(Str::from([b"Unknown type ", &*sort].concat()).into()),
    };
    Ok(key.map_or_else(|| "failed to generate private key: no primes were found".to_owned(), |key| key.write()).into())
}

const BLOCK: usize = 16;

/// The cipher of a password: its first 32 bytes, zeros behind.
fn cipher(password: &[u8]) -> Aes256 {
    let mut key = [0; 32];
    let length = password.len().min(32);
    key[..length].copy_from_slice(&password[..length]);
    Aes256::new(&key.into())
}

fn encrypt_aes(call: &mut Call<'_>, args: &[Value]) -> Answer {
    let (cipher, text) = (cipher(&args[0].as_text()), args[1].as_text());
    if text.is_empty() {
        return Ok("".into());
    }
    let padding = BLOCK - text.len() % BLOCK;
    let padded = [&*text, &vec![padding as u8; padding]].concat();
    let mut chain = [0; BLOCK];
    call.facts.random(&mut chain);
    let mut out = chain.to_vec();
    for chunk in padded.chunks(BLOCK) {
        chain.iter_mut().zip(chunk).for_each(|(chained, byte)| *chained ^= byte);
        let mut block = chain.into();
        cipher.encrypt_block(&mut block);
        chain = block.into();
        out.extend_from_slice(&chain);
    }
    Ok(base::encode64(&out).into())
}

fn decrypt_aes(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let (cipher, text) = (cipher(&args[0].as_text()), args[1].as_text());
    if text.is_empty() {
        return Ok("".into());
    }
    let bytes = base::decode64(&text).map_err(|error| Failure::new(error.to_string()))?;
    let panic = |problem: String| Err(Failure::new(format!("runtime error: {problem}")));
    if bytes.len() < BLOCK {
        // Go's buffer may be longer than what it holds.
        let capacity = text.len() / 4 * 3;
        return panic(match capacity < BLOCK {
            true => format!("slice bounds out of range [:{BLOCK}] with capacity {capacity}"),
            false => format!("slice bounds out of range [{BLOCK}:{}]", bytes.len()),
        });
    }
    if bytes.len() % BLOCK != 0 {
        return Err("crypto/cipher: input not full blocks".into());
    }
    let mut out = Vec::with_capacity(bytes.len());
    for pair in bytes.chunks(BLOCK).collect::<Vec<_>>().windows(2) {
        let mut block: [u8; BLOCK] = [0; BLOCK];
        block.copy_from_slice(pair[1]);
        let mut block = block.into();
        cipher.decrypt_block(&mut block);
        out.extend(block.iter().zip(pair[0]).map(|(byte, chained)| byte ^ chained));
    }
    let Some(padding) = out.last().map(|byte| usize::from(*byte)) else { return panic("index out of range [-1]".to_owned()) };
    if padding > out.len() {
        return panic(format!("slice bounds out of range [:{}]", out.len() as i64 - padding as i64));
    }
    out.truncate(out.len() - padding);
    Ok(Str::from(out).into())
}
