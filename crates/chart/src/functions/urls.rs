//! Web addresses taken apart into maps, and put together.

use super::{Call, Failure, Function};
use crate::golang::url::{self, Url};
use crate::value::{ANY_MAP, Map, Str, Type, Value};

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("urlJoin", &[ANY_MAP], "An address of the parts in a map.", url_join),
    Function::fixed("urlParse", &[Type::String], "The parts of an address, as a map.", url_parse),
];

fn url_parse(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    let url = url::parse(&args[0].as_text()).map_err(|error| Failure::new(format!("unable to parse url: {error}")))?;
    let parts = [
        ("scheme", url.scheme.clone()),
        ("host", url.host.clone()),
        ("hostname", url.hostname().to_vec()),
        ("path", url.path.clone()),
        ("query", url.query.clone()),
        ("opaque", url.opaque.clone()),
        ("fragment", url.fragment.clone()),
        ("userinfo", url.user_info()),
    ];
    Ok(parts.into_iter().map(|(name, part)| (Str::from(name), Value::String(Str::from(part)))).collect::<Map>().into())
}

fn url_join(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    let map = args[0].as_map();
    let part = |name: &str| match map.get(name) {
        None => Ok(Str::default()),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Nil) => Err(Failure::new(super::lists::NIL_TYPE)),
        Some(other) => {
            let kind = other.kind().name();
            Err(Failure::new(format!("unable to parse {name} key, must be of type string, but {kind} found")))
        }
    };
    let mut url = Url {
        scheme: part("scheme")?.to_vec(),
        host: part("host")?.to_vec(),
        path: part("path")?.to_vec(),
        query: part("query")?.to_vec(),
        opaque: part("opaque")?.to_vec(),
        fragment: part("fragment")?.to_vec(),
        user: None,
    };
    let user = part("userinfo")?;
    if !user.is_empty() {
        let address = [b"proto://", &*user, b"@host"].concat();
        let parsed = url::parse(&address);
        url.user = parsed.map_err(|error| Failure::new(format!("unable to parse userinfo in dict: {error}")))?.user;
    }
    Ok(Str::from(url.write()).into())
}
