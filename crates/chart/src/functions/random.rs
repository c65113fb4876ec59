//! Random texts and numbers, from the bytes that the caller's facts give.

use super::{Call, Failure, Function, limits};
use crate::golang::base;
use crate::value::{INT, Value};

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("randAlpha", &[INT], "Random letters.", |call, args| drawn(call, &args[0], LETTERS)),
    Function::fixed("randAlphaNum", &[INT], "Random letters and digits.", |call, args| drawn(call, &args[0], LETTERS_AND_DIGITS)),
    Function::fixed("randAscii", &[INT], "Random printable ASCII.", |call, args| drawn(call, &args[0], PRINTABLE)),
    Function::fixed("randBytes", &[INT], "Random bytes in base 64.", rand_bytes),
    Function::fixed("randInt", &[INT, INT], "A random number from the first up to below the second.", rand_int),
    Function::fixed("randNumeric", &[INT], "Random digits.", |call, args| drawn(call, &args[0], DIGITS)),
    Function::fixed("uuidv4", &[], "A random UUID.", uuidv4),
];

const DIGITS: &[u8] = b"0123456789";
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LETTERS_AND_DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PRINTABLE: &[u8] = b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";

/// A random number below a limit, none likelier than another.
pub fn below(call: &mut Call<'_>, limit: u64) -> u64 {
    let limit = limit.max(1);
    let unbiased = u64::MAX - u64::MAX % limit;
    loop {
        let mut bytes = [0; 8];
        call.facts.random(&mut bytes);
        let number = u64::from_le_bytes(bytes);
        if number < unbiased {
            return number % limit;
        }
    }
}

fn drawn(call: &mut Call<'_>, count: &Value, alphabet: &[u8]) -> Result<Value, Failure> {
    // A negative count gives nothing: Sprig drops the error.
    let count = usize::try_from(count.as_int()).unwrap_or(0);
    limits::text(count)?;
    // One byte decides one symbol; those above the largest multiple are drawn again.
    let unbiased = 256 - 256 % alphabet.len();
    let mut out = String::with_capacity(count);
    let mut buffer = [0u8; 64];
    while out.len() < count {
        call.facts.random(&mut buffer);
        let symbols = buffer.iter().filter(|byte| usize::from(**byte) < unbiased);
        out.extend(symbols.map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).take(count - out.len()));
    }
    Ok(out.into())
}

fn rand_bytes(call: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    let Ok(count) = usize::try_from(args[0].as_int()) else { return Err("runtime error: makeslice: len out of range".into()) };
    limits::text(count)?;
    let mut bytes = vec![0; count];
    call.facts.random(&mut bytes);
    Ok(base::encode64(&bytes).into())
}

fn rand_int(call: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    let (from, to) = (args[0].as_int(), args[1].as_int());
    let span = to.wrapping_sub(from);
    if span <= 0 {
        return Err("invalid argument to Intn".into());
    }
    Ok(Value::int(from.wrapping_add(below(call, span as u64) as i64)))
}

fn uuidv4(call: &mut Call<'_>, _: &[Value]) -> Result<Value, Failure> {
    let mut bytes = [0u8; 16];
    call.facts.random(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-").into())
}
