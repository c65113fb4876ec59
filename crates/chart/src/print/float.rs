//! How Go writes floating point numbers: `strconv.AppendFloat`.

/// The decimal digits of a finite number without sign, without trailing zeros, and where the point stands among them.
struct Digits {
    digits: Vec<u8>,
    point: i32,
}

/// Appends a number in one of Go's formats (`e E f g G b x X`); a negative precision means as many digits as are needed.
pub fn append(out: &mut Vec<u8>, number: f64, format: u8, precision: i32) {
    if number.is_nan() {
        out.extend_from_slice(b"NaN");
        return;
    }
    if number.is_infinite() {
        out.extend_from_slice(if number > 0.0 { b"+Inf" } else { b"-Inf" });
        return;
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    let number = number.abs();
    match format {
        b'b' => binary(out, number),
        b'x' | b'X' => hexadecimal(out, number, format, precision),
        b'e' | b'E' => {
            let digits = if precision < 0 { shortest(number) } else { rounded(number, precision) };
            let after = if precision < 0 { count(&digits) - 1 } else { precision };
            exponential(out, &digits, after.max(0), format);
        }
        b'f' => fixed(out, number, precision),
        _ => general(out, number, format, precision),
    }
}

fn fixed(out: &mut Vec<u8>, number: f64, precision: i32) {
    if precision < 0 {
        let digits = shortest(number);
        let after = (count(&digits) - digits.point).max(0);
        return positional(out, &digits, after);
    }
    let precision = usize::try_from(precision).unwrap_or(0);
    out.extend_from_slice(format!("{number:.precision$}").as_bytes());
}

fn general(out: &mut Vec<u8>, number: f64, format: u8, precision: i32) {
    let least = precision < 0;
    // Most floats of values files are small whole numbers.
    if least && number < 1e6 && number.fract() == 0.0 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and between nothing and a million")]
        return out.extend_from_slice((number as u32).to_string().as_bytes());
    }
    let wanted = if precision == 0 { 1 } else { precision };
    let digits = if least { shortest(number) } else { rounded(number, wanted - 1) };
    let have = count(&digits);
    let wanted = if least { have } else { wanted };
    let mut bound = wanted;
    if bound > have && have >= digits.point {
        bound = have;
    }
    // The shortest form decides as if six digits had been asked for, unless more of them stand before the point.
    if least {
        bound = 6;
    }
    let exponent = digits.point - 1;
    if exponent < -4 || exponent >= bound {
        let after = wanted.min(have) - 1;
        return exponential(out, &digits, after.max(0), if format == b'G' { b'E' } else { b'e' });
    }
    positional(out, &digits, (have - digits.point).max(0));
}

fn count(digits: &Digits) -> i32 {
    i32::try_from(digits.digits.len()).unwrap_or(i32::MAX)
}

fn shortest(number: f64) -> Digits {
    parse(&format!("{number:e}"))
}

fn rounded(number: f64, after: i32) -> Digits {
    let after = usize::try_from(after).unwrap_or(0);
    parse(&format!("{number:.after$e}"))
}

fn parse(text: &str) -> Digits {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    let point = if digits.is_empty() { 0 } else { exponent.parse::<i32>().unwrap_or(0) + 1 };
    Digits { digits, point }
}

fn exponential(out: &mut Vec<u8>, digits: &Digits, after: i32, format: u8) {
    out.push(digits.digits.first().copied().unwrap_or(b'0'));
    if after > 0 {
        out.push(b'.');
        for index in 1..=usize::try_from(after).unwrap_or(0) {
            out.push(digits.digits.get(index).copied().unwrap_or(b'0'));
        }
    }
    out.push(format);
    let exponent = if digits.digits.is_empty() { 0 } else { digits.point - 1 };
    out.push(if exponent < 0 { b'-' } else { b'+' });
    out.extend_from_slice(format!("{:02}", exponent.abs()).as_bytes());
}

fn positional(out: &mut Vec<u8>, digits: &Digits, after: i32) {
    let digit = |place: i32| usize::try_from(place).ok().and_then(|place| digits.digits.get(place)).copied().unwrap_or(b'0');
    if digits.point > 0 {
        (0..digits.point).for_each(|place| out.push(digit(place)));
    } else {
        out.push(b'0');
    }
    if after > 0 {
        out.push(b'.');
        (0..after).for_each(|place| out.push(digit(digits.point + place)));
    }
}

/// The mantissa as an integer and the power of two that it counts.
fn parts(number: f64) -> (u64, i32) {
    let bits = number.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
    if exponent == 0 { (fraction, -1074) } else { (fraction | (1 << 52), exponent - 1075) }
}

fn binary(out: &mut Vec<u8>, number: f64) {
    let (mantissa, exponent) = parts(number);
    out.extend_from_slice(format!("{mantissa}p{exponent:+}").as_bytes());
}

fn hexadecimal(out: &mut Vec<u8>, number: f64, format: u8, precision: i32) {
    let (mut mantissa, mut exponent) = parts(number);
    if mantissa == 0 {
        exponent = 0;
    } else {
        // The leading one stands at bit 60, so that fifteen digits follow it.
        let shift = mantissa.leading_zeros() - 3;
        mantissa <<= shift;
        exponent += 60 - i32::try_from(shift).unwrap_or(0);
    }
    if (0..15).contains(&precision) {
        let drop = 60 - 4 * u32::try_from(precision).unwrap_or(0);
        let extra = mantissa & ((1 << drop) - 1);
        mantissa >>= drop;
        let half = 1 << (drop - 1);
        if extra > half || (extra == half && mantissa & 1 == 1) {
            mantissa += 1;
        }
        mantissa <<= drop;
        if mantissa >> 61 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let mut text = format!("0x{}", mantissa >> 60);
    let mut rest = format!("{:015x}", mantissa & ((1 << 60) - 1));
    if precision < 0 {
        rest.truncate(rest.trim_end_matches('0').len());
    } else {
        let precision = usize::try_from(precision).unwrap_or(0);
        rest.truncate(precision);
        rest.extend(std::iter::repeat_n('0', precision.saturating_sub(15)));
    }
    if !rest.is_empty() {
        text.push('.');
        text.push_str(&rest);
    }
    text.push_str(&format!("p{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()));
    out.extend_from_slice(if format == b'X' { text.to_ascii_uppercase() } else { text }.as_bytes());
}
