//! X.509 certificates as Sprig makes them: authorities, self-signed, and signed by an authority.

use std::any::Any;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

use super::super::{Call, Failure, Function};
use super::keys::{CERTIFICATE_RSA_BITS, Key};
use crate::golang::base;
use crate::golang::der::{self, Reader};
use crate::golang::layout;
use crate::golang::moment::{Moment, Zone};
use crate::golang::{ip, pem};
use crate::print::quote::quoted;
use crate::value::{ANY_LIST, INT, Object, Str, Type, Value};

const TEXT: Type = Type::String;
const CERTIFICATE: Type = Type::Object("sprig.certificate");

/// The functions.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("buildCustomCert", &[TEXT, TEXT], "A certificate and its key from base 64.", build_custom),
    Function::fixed("genCA", &[TEXT, INT], "A new authority: name, days.", |call, args| {
        let key = new_key(call)?;
        authority(call, args, key)
    }),
    Function::fixed("genCAWithKey", &[TEXT, INT, TEXT], "As genCA, with a key.", |call, args| {
        let key = given_key(&args[2])?;
        authority(call, args, key)
    }),
    Function::fixed(
        "genSelfSignedCert",
        &[TEXT, ANY_LIST, ANY_LIST, INT],
        "A self-signed certificate: name, addresses, names, days.",
        |call, args| {
            let key = new_key(call)?;
            self_signed(call, args, key)
        },
    ),
    Function::fixed(
        "genSelfSignedCertWithKey",
        &[TEXT, ANY_LIST, ANY_LIST, INT, TEXT],
        "As genSelfSignedCert, with a key.",
        |call, args| {
            let key = given_key(&args[4])?;
            self_signed(call, args, key)
        },
    ),
    Function::fixed(
        "genSignedCert",
        &[TEXT, ANY_LIST, ANY_LIST, INT, CERTIFICATE],
        "A certificate signed by an authority.",
        |call, args| {
            let key = new_key(call)?;
            signed(call, args, key)
        },
    ),
    Function::fixed(
        "genSignedCertWithKey",
        &[TEXT, ANY_LIST, ANY_LIST, INT, CERTIFICATE, TEXT],
        "As genSignedCert, with a key.",
        |call, args| {
            let key = given_key(&args[5])?;
            signed(call, args, key)
        },
    ),
];

type Answer = Result<Value, Failure>;

/// A certificate and its key, in PEM.
#[derive(Clone, Debug, Default)]
pub struct Certificate {
    cert: Str,
    key: Str,
}

impl Object for Certificate {
    fn type_name(&self) -> &'static str {
        "sprig.certificate"
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.fields().into_iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![("Cert", self.cert.clone().into()), ("Key", self.key.clone().into())]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn failure(context: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{context}{error}"))
}

fn new_key(call: &Call<'_>) -> Result<Key, Failure> {
    Key::new_rsa(call.facts, CERTIFICATE_RSA_BITS).ok_or_else(|| Failure::new("error generating rsa key: no primes were found"))
}

fn given_key(text: &Value) -> Result<Key, Failure> {
    Key::read(&text.as_text()).map_err(|error| failure("parsing private key: ", error))
}

/// What a certificate is to say, and who signs it.
struct Order {
    subject: Vec<u8>,
    addresses: Vec<IpAddr>,
    names: Vec<Str>,
    days: i64,
    is_authority: bool,
}

/// Who signs: the name, the identifier of its key where it says one, and the key.
struct Issuer<'a> {
    name: Vec<u8>,
    key_identifier: Vec<u8>,
    key: &'a Key,
}

fn order(name: &Value, addresses: Option<&Value>, names: Option<&Value>, days: &Value) -> Result<Order, Failure> {
    let mut order = Order {
        subject: common_name(&name.as_text()),
        addresses: Vec::new(),
        names: Vec::new(),
        days: days.as_int(),
        is_authority: false,
    };
    for address in addresses.map(|list| list.as_list().items()).unwrap_or_default() {
        let Value::String(text) = &address else {
            return Err(Failure::new(format!("error parsing ip: {} is not a string", crate::print::display(&address))));
        };
        let without_zone = Some(text).filter(|text| !text.contains(&b'%'));
        let parsed = without_zone.and_then(|text| ip::parse(text).ok());
        order.addresses.push(parsed.ok_or_else(|| failure("error parsing ip: ", text))?);
    }
    for name in names.map(|list| list.as_list().items()).unwrap_or_default() {
        let Value::String(text) = &name else {
            let shown = crate::print::display(&name);
            return Err(Failure::new(format!("error processing alternate dns name: {shown} is not a string")));
        };
        order.names.push(text.clone());
    }
    Ok(order)
}

/// A name of nothing but a common name; an empty one is no name at all.
fn common_name(name: &[u8]) -> Vec<u8> {
    if name.is_empty() {
        return der::sequence(&[]);
    }
    let printable = |byte: &u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(byte);
    let tag = if name.iter().all(printable) { der::PRINTABLE_STRING } else { der::UTF8_STRING };
    let pair = der::sequence(&[der::identifier(&[2, 5, 4, 3]), der::element(tag, name)]);
    der::sequence(&[der::element(der::SET, &pair)])
}

fn authority(call: &mut Call<'_>, args: &[Value], key: Key) -> Answer {
    let order = Order { is_authority: true, ..order(&args[0], None, None, &args[1])? };
    let issuer = Issuer { name: order.subject.clone(), key_identifier: Vec::new(), key: &key };
    make(call, &order, &key, &issuer)
}

fn self_signed(call: &mut Call<'_>, args: &[Value], key: Key) -> Answer {
    let order = order(&args[0], Some(&args[1]), Some(&args[2]), &args[3])?;
    let issuer = Issuer { name: order.subject.clone(), key_identifier: Vec::new(), key: &key };
    make(call, &order, &key, &issuer)
}

fn signed(call: &mut Call<'_>, args: &[Value], key: Key) -> Answer {
    let given = args[4].downcast::<Certificate>().cloned().unwrap_or_default();
    let block = pem::find(&given.cert).ok_or_else(|| Failure::new("unable to decode certificate"))?;
    let parent =
        Parsed::of(&block.bytes).map_err(|error| failure("error parsing certificate: decodedSignerCert.Bytes: ", error))?;
    let parent_key = Key::read(&given.key).map_err(|error| failure("error parsing private key: ", error))?;
    let order = order(&args[0], Some(&args[1]), Some(&args[2]), &args[3])?;
    if parent_key.public().is_some_and(|(public, _)| public != parent.public_key) {
        return Err("error creating certificate: x509: provided PrivateKey doesn't match parent's PublicKey".into());
    }
    let issuer = Issuer { name: parent.subject.clone(), key_identifier: parent.key_identifier, key: &parent_key };
    make(call, &order, &key, &issuer)
}

fn make(call: &mut Call<'_>, order: &Order, key: &Key, issuer: &Issuer<'_>) -> Answer {
    let refused = |problem: &str| Failure::new(format!("error creating certificate: x509: {problem}"));
    let algorithm =
        issuer.key.signature_algorithm().ok_or_else(|| refused("certificate private key does not implement crypto.Signer"))?;
    let (public, key_bits) = key.public().ok_or_else(|| refused("unsupported public key type: *dsa.PublicKey"))?;
    let mut serial = [0; 16];
    call.facts.random(&mut serial);
    let now = Moment::of_clock(call.facts.now(), Zone::Utc);
    let span = order.days.wrapping_mul(24 * 3600 * 1_000_000_000);
    let validity = der::sequence(&[date(&now), date(&now.plus(span))]);
    let parts = [
        der::element(0xa0, &der::integer(&[2])),
        der::integer(&serial),
        algorithm.clone(),
        issuer.name.clone(),
        validity,
        order.subject.clone(),
        public,
        der::element(0xa3, &der::sequence(&extensions(order, issuer, &key_bits).map_err(|error| refused(&error))?)),
    ];
    let to_sign = der::sequence(&parts);
    let signature = issuer.key.sign(&to_sign).ok_or_else(|| refused("signing failed"))?;
    let whole = der::sequence(&[to_sign, algorithm, der::bits(&signature)]);
    let certificate = Certificate { cert: pem::write("CERTIFICATE", &whole).into(), key: key.write().into() };
    Ok(Value::object(certificate))
}

/// A date in the short form while that has years, else in the long one.
fn date(moment: &Moment) -> Vec<u8> {
    let year = moment.civil().year;
    if (1950..2050).contains(&year) {
        der::element(0x17, &layout::write(moment, b"060102150405Z"))
    } else {
        der::element(0x18, &layout::write(moment, b"20060102150405Z"))
    }
}

fn extension(number: u32, critical: bool, content: &[u8]) -> Vec<u8> {
    let mut parts = vec![der::identifier(&[2, 5, 29, number])];
    if critical {
        parts.push(der::element(der::BOOLEAN, &[0xff]));
    }
    parts.push(der::element(der::OCTET_STRING, content));
    der::sequence(&parts)
}

fn extensions(order: &Order, issuer: &Issuer<'_>, key_bits: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    // Digital signature, key encipherment, and for an authority the signing of certificates.
    let (unused, usage) = if order.is_authority { (2, 0b1010_0100) } else { (5, 0b1010_0000) };
    let purpose = |last: u32| der::identifier(&[1, 3, 6, 1, 5, 5, 7, 3, last]);
    let basic = if order.is_authority { vec![der::element(der::BOOLEAN, &[0xff])] } else { Vec::new() };
    let mut all = vec![
        extension(15, true, &der::element(der::BIT_STRING, &[unused, usage])),
        extension(37, false, &der::sequence(&[purpose(1), purpose(2)])),
        extension(19, true, &der::sequence(&basic)),
    ];
    if order.is_authority {
        let digest = Sha256::digest(key_bits);
        all.push(extension(14, false, &der::element(der::OCTET_STRING, &digest[..20])));
    }
    if issuer.name != order.subject && !issuer.key_identifier.is_empty() {
        all.push(extension(35, false, &der::sequence(&[der::element(0x80, &issuer.key_identifier)])));
    }
    if !order.names.is_empty() || !order.addresses.is_empty() {
        let mut names = Vec::new();
        for name in &order.names {
            if !name.is_ascii() {
                return Err(format!("{} cannot be encoded as an IA5String", quoted(name)));
            }
            names.push(der::element(0x82, name));
        }
        for address in &order.addresses {
            names.push(match address.to_canonical() {
                IpAddr::V4(address) => der::element(0x87, &address.octets()),
                IpAddr::V6(address) => der::element(0x87, &address.octets()),
            });
        }
        all.push(extension(17, order.subject == der::sequence(&[]), &der::sequence(&names)));
    }
    Ok(all)
}

/// What is needed of a certificate that was read.
struct Parsed {
    subject: Vec<u8>,
    public_key: Vec<u8>,
    key_identifier: Vec<u8>,
}

impl Parsed {
    fn of(bytes: &[u8]) -> Result<Parsed, &'static str> {
        let mut outer = Reader(bytes);
        let mut whole = Reader(outer.expect(der::SEQUENCE).ok_or("x509: malformed certificate")?.content);
        if !outer.is_done() {
            return Err("x509: trailing data");
        }
        let mut fields = Reader(whole.expect(der::SEQUENCE).ok_or("x509: malformed tbs certificate")?.content);
        fields.optional(0xa0);
        fields.expect(der::INTEGER).ok_or("x509: malformed serial number")?;
        fields.expect(der::SEQUENCE).ok_or("x509: malformed signature algorithm identifier")?;
        fields.expect(der::SEQUENCE).ok_or("x509: malformed issuer")?;
        fields.expect(der::SEQUENCE).ok_or("x509: malformed validity")?;
        let subject = fields.expect(der::SEQUENCE).ok_or("x509: malformed issuer")?.whole.to_vec();
        let public_key = fields.expect(der::SEQUENCE).ok_or("x509: malformed spki")?.whole.to_vec();
        let key_identifier = Self::key_identifier(fields).ok_or("x509: malformed extensions")?;
        let signature = whole.expect(der::SEQUENCE).and_then(|_| whole.expect(der::BIT_STRING));
        signature.ok_or("x509: malformed signature")?;
        Ok(Parsed { subject, public_key, key_identifier })
    }

    /// What a certificate calls its key; empty where it says nothing.
    fn key_identifier(mut fields: Reader<'_>) -> Option<Vec<u8>> {
        let mut key_identifier = Vec::new();
        if let Some(extensions) = fields.optional(0xa3) {
            let mut extensions = Reader(Reader(extensions.content).expect(der::SEQUENCE)?.content);
            while !extensions.is_done() {
                let mut extension = Reader(extensions.expect(der::SEQUENCE)?.content);
                let name = extension.expect(der::OBJECT_IDENTIFIER)?.whole;
                extension.optional(der::BOOLEAN);
                let content = extension.expect(der::OCTET_STRING)?.content;
                if name == der::identifier(&[2, 5, 29, 14]) {
                    key_identifier = Reader(content).expect(der::OCTET_STRING)?.content.to_vec();
                }
            }
        }
        Some(key_identifier)
    }
}

fn build_custom(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let cert = base::decode64(&args[0].as_text()).map_err(|_| Failure::new("unable to decode base64 certificate"))?;
    let key = base::decode64(&args[1].as_text()).map_err(|_| Failure::new("unable to decode base64 private key"))?;
    let block = pem::find(&cert).ok_or_else(|| Failure::new("unable to decode certificate"))?;
    Parsed::of(&block.bytes).map_err(|error| failure("error parsing certificate: decodedCert.Bytes: ", error))?;
    Key::read(&key).map_err(|error| failure("error parsing private key: ", error))?;
    Ok(Value::object(Certificate { cert: cert.into(), key: key.into() }))
}
