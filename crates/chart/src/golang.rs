//! What Go's standard library does, where charts can see it: how it reads, writes and orders. Knows no template and no chart.

pub mod base;
pub mod casing;
pub mod decimal;
pub mod der;
pub mod duration;
pub mod ip;
pub mod json;
pub mod layout;
pub mod moment;
pub mod number;
pub mod pem;
pub mod quote;
pub mod regexp;
pub mod runes;
pub mod url;
pub mod wrapping;
