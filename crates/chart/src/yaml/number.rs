//! Floats as Go prints them. It never parses.

/// Go's `FormatFloat(x, 'g', -1, 64)`: shortest digits, an exponent below 1e-4 and from 1e6.
#[must_use]
pub fn float_general(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    general(&format!("{value:e}"))
}

/// The form of a float as a key of a JSON object: rounded to 32 bits first, as sigs.k8s.io/yaml does.
#[must_use]
pub fn float_key(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "the rounding is what is wanted")]
    let narrow = value as f32;
    if narrow.is_nan() {
        return ".nan".to_owned();
    }
    if narrow.is_infinite() {
        return if narrow > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    general(&format!("{narrow:e}"))
}

/// The form of a float in Go's JSON: plain from 1e-6 below 1e21, else with an exponent.
#[must_use]
pub fn float_json(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return match exponent.strip_prefix('-') {
            Some(small) => format!("{digits}e-{small:0>1}"),
            None => format!("{digits}e+{exponent:0>2}"),
        };
    }
    format!("{value}")
}

/// From Rust's shortest `d.ddde±x` to Go's `%g` with the precision 6 that decides on the exponent's use.
fn general(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if !(-4..6).contains(&exponent) {
        return with_exponent(sign, &digits, exponent);
    }
    let point = exponent + 1;
    if point <= 0 {
        let zeros = "0".repeat(usize::try_from(-point).unwrap_or(0));
        return format!("{sign}0.{zeros}{digits}");
    }
    let point = usize::try_from(point).unwrap_or(0);
    if digits.len() <= point {
        return format!("{sign}{digits}{}", "0".repeat(point - digits.len()));
    }
    format!("{sign}{}.{}", &digits[..point], &digits[point..])
}

fn with_exponent(sign: &str, digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let direction = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{first}{point}{rest}e{direction}{:02}", exponent.unsigned_abs())
}
