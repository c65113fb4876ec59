//! Whether a certificate that a signer issued is the one that was asked for.

use api::document::{Value, meta};
use api::rules::certificates::verdict;
use api::status::FieldError;
use jiff::{SignedDuration, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::time::ASN1Time;

const CHAIN: &str = "status.certificateChain";
const CHAIN_MAX: usize = 100 * 1024;
/// How far from now a certificate may begin.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// What is left of a life at either end of the time in which it is renewed.
const MARGIN: SignedDuration = SignedDuration::from_mins(10);

/// What is wrong with the status of a request that is being issued; nothing for any other write.
pub(super) fn problems(new: &Value, old: &Value, now: Timestamp) -> Vec<FieldError> {
    if verdict(old).is_some() || verdict(new) != Some("Issued") {
        return Vec::new();
    }
    check(new, old, now).err().unwrap_or_default()
}

fn one(field: &str, bad: impl Into<Value>, detail: &str) -> Vec<FieldError> {
    vec![FieldError::invalid(field, bad, detail)]
}

fn check(new: &Value, old: &Value, now: Timestamp) -> Result<(), Vec<FieldError>> {
    let chain = new.str_at(&["status", "certificateChain"]).unwrap_or_default();
    let wrong = |detail: &str| one(CHAIN, chain, detail);
    if chain.len() > CHAIN_MAX {
        return Err(vec![FieldError::too_long(CHAIN, CHAIN_MAX)]);
    }
    let mut blocks = Pem::iter_from_buffer(chain.as_bytes());
    let Some(Ok(leaf)) = blocks.next() else {
        return Err(wrong("issued certificate chain must contain at least one certificate"));
    };
    if leaf.label != "CERTIFICATE" {
        return Err(wrong("issued certificate chain must consist entirely of CERTIFICATE PEM blocks"));
    }
    let leaf = leaf.parse_x509().map_err(|_| wrong("leaf certificate does not parse as valid X.509"))?;
    check_names(&leaf)?;
    let key = super::stub_key(old).map_err(|detail| one(super::STUB, Value::Null, &detail))?;
    if leaf.public_key().raw != key {
        return Err(wrong("leaf certificate was not issued to the requested public key"));
    }
    check_times(new, &leaf, now)?;
    for block in blocks {
        match block {
            Ok(block) if block.label != "CERTIFICATE" => {
                return Err(wrong("issued certificate chain must consist entirely of CERTFICATE PEM blocks"));
            }
            Ok(block) if block.parse_x509().is_ok() => {}
            _ => return Err(wrong("intermediate certificate does not parse as valid X.509")),
        }
    }
    Ok(())
}

fn check_names(leaf: &X509Certificate<'_>) -> Result<(), Vec<FieldError>> {
    let names = leaf.subject_alternative_name().ok().flatten();
    let mut errors = Vec::new();
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::DNSName(dns) => {
                let told = |detail: &str| FieldError::invalid(CHAIN, *dns, detail);
                if dns.is_empty() {
                    errors.push(told("leaf certificate should not contain empty DNSName"));
                }
                if dns.contains("..") {
                    errors.push(told("leaf certificate's DNSName should not contain '..'"));
                }
                if dns.starts_with('.') || dns.ends_with('.') {
                    errors.push(told("leaf certificate's DNSName should not start or end with '.'"));
                }
            }
            GeneralName::RFC822Name(mail) if !mail.contains('@') => {
                errors.push(FieldError::invalid(CHAIN, *mail, "leaf certificate should not contain invalid EmailAddress"));
            }
            _ => {}
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn check_times(new: &Value, leaf: &X509Certificate<'_>, now: Timestamp) -> Result<(), Vec<FieldError>> {
    let at = |field: &str| new.str_at(&["status", field]).and_then(meta::parse_time);
    let text = |field: &str| new.str_at(&["status", field]).unwrap_or_default().to_owned();
    let missing: Vec<FieldError> = [
        ("notBefore", "must be present and consistent with the issued certificate"),
        ("notAfter", "must be present and consistent with the issued certificate"),
        ("beginRefreshAt", "must be present and in the range [notbefore+10min, notafter-10min]"),
    ]
    .into_iter()
    .filter(|(field, _)| at(field).is_none())
    .map(|(field, detail)| FieldError::required(format!("status.{field}"), detail))
    .collect();
    let (Some(begins), Some(ends), Some(refresh)) = (at("notBefore"), at("notAfter"), at("beginRefreshAt")) else {
        return Err(missing);
    };
    let wrong = |field: &str, detail: &str| one(&format!("status.{field}"), text(field), detail);
    let inside = |time: ASN1Time| Timestamp::from_second(time.timestamp()).unwrap_or_default();
    let (first, last) = (inside(leaf.validity().not_before), inside(leaf.validity().not_after));
    if begins != first {
        return Err(wrong("notBefore", "must be set to the NotBefore time encoded in the leaf certificate"));
    }
    if begins.duration_since(now).abs() >= SKEW {
        return Err(wrong("notBefore", "must be set to within 5 minutes of kube-apiserver's current time"));
    }
    if ends != last {
        return Err(wrong("notAfter", "must be set to the NotAfter time encoded in the leaf certificate"));
    }
    let life = last.duration_since(first);
    let longest = new.i64_at(&["spec", "maxExpirationSeconds"]).unwrap_or_default();
    if life < SignedDuration::from_hours(1) {
        return Err(one(CHAIN, life.to_string(), "leaf certificate lifetime must be >= 1 hour"));
    }
    if life.as_secs() > longest {
        let detail = format!("leaf certificate lifetime must be <= spec.maxExpirationSeconds ({longest})");
        return Err(one(CHAIN, life.to_string(), &detail));
    }
    if refresh.duration_since(begins) < MARGIN {
        return Err(wrong("beginRefreshAt", "must be at least 10 minutes after status.notBefore"));
    }
    if ends.duration_since(refresh) < MARGIN {
        return Err(wrong("beginRefreshAt", "must be at least 10 minutes before status.notAfter"));
    }
    Ok(())
}
