//! Go values as Helm's templates meet them.
//!
//! Lists and maps are handles with Go's reference semantics, and everything clones in constant time. A value carries the Go type that
//! `typeOf` shows. Whether Go would hold it in an interface is the evaluator's business, not the value's.

mod collections;
mod go_type;
mod json;
mod object;
mod text;

use std::rc::Rc;

pub use collections::{List, Map};
pub use go_type::{ANY_LIST, ANY_MAP, BYTE, BYTES, INT, INT64, IntKind, Kind, Named, STRINGS, Type, UintKind};
pub use object::Object;
pub use text::{Str, lossy};

/// A Go value.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// The nil of `interface {}`; typed nils are lists, maps and objects that say so
    #[default]
    Nil,
    /// `bool`
    Bool(bool),
    /// `int` and its sized kin
    Int(i64, IntKind),
    /// `uint` and its sized kin
    Uint(u64, UintKind),
    /// `float64`
    Float(f64),
    /// `complex128`: only literals make one
    Complex(f64, f64),
    /// `string`
    String(Str),
    /// A slice
    List(List),
    /// A map from strings
    Map(Map),
    /// A struct, pointer or named scalar
    Object(Rc<dyn Object>),
}

impl Value {
    /// An `int`.
    pub fn int(number: i64) -> Self {
        Self::Int(number, IntKind::Int)
    }

    /// An `int64`.
    pub fn int64(number: i64) -> Self {
        Self::Int(number, IntKind::Int64)
    }

    /// A `uint8`.
    pub fn byte(number: u8) -> Self {
        Self::Uint(number.into(), UintKind::Uint8)
    }

    /// A `string`.
    pub fn string(text: impl Into<Str>) -> Self {
        Self::String(text.into())
    }

    /// An `[]interface {}`.
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(List::any(items))
    }

    /// An object.
    pub fn object(object: impl Object + 'static) -> Self {
        Self::Object(Rc::new(object))
    }

    /// Whether it is nil without a type.
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// Whether it is nil, of whatever type or of none.
    pub fn is_any_nil(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::List(list) => list.is_nil(),
            Self::Map(map) => map.is_nil(),
            Self::Object(object) => object.is_nil(),
            _ => false,
        }
    }

    /// The Go type; nil has none.
    pub fn go_type(&self) -> Option<Type> {
        Some(match self {
            Self::Nil => return None,
            Self::Bool(_) => Type::Bool,
            Self::Int(_, width) => Type::Int(*width),
            Self::Uint(_, width) => Type::Uint(*width),
            Self::Float(_) => Type::Float,
            Self::Complex(..) => Type::Complex,
            Self::String(_) => Type::String,
            Self::List(list) => list.go_type(),
            Self::Map(map) => map.go_type(),
            Self::Object(object) => Type::Object(object.type_name()),
        })
    }

    /// The type as `typeOf` and `%T` print it.
    pub fn type_name(&self) -> String {
        self.go_type().map_or_else(|| "<nil>".to_owned(), |of| of.to_string())
    }

    /// The kind, as `kindOf` knows it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Nil => Kind::Invalid,
            Self::Object(object) => object.kind(),
            plain => plain.go_type().map_or(Kind::Invalid, Type::kind),
        }
    }

    /// Whether a template's `if` takes it: not the zero of its type, and not empty.
    pub fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(truth) => *truth,
            Self::Int(number, _) => *number != 0,
            Self::Uint(number, _) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Self::String(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Object(object) => object.scalar().map_or_else(|| !object.is_nil(), |plain| plain.truth()),
        }
    }

    /// The string of an argument that the signature says is one; empty for everything else.
    pub fn as_text(&self) -> Str {
        if let Self::String(text) = self { text.clone() } else { Str::default() }
    }

    /// The integer of an argument that the signature says is one; zero for everything else.
    pub fn as_int(&self) -> i64 {
        if let Self::Int(number, _) = self { *number } else { 0 }
    }

    /// The float of an argument that the signature says is one; zero for everything else.
    pub fn as_float(&self) -> f64 {
        if let Self::Float(number) = self { *number } else { 0.0 }
    }

    /// The map of an argument that the signature says is one; a nil map for everything else.
    pub fn as_map(&self) -> Map {
        if let Self::Map(map) = self { map.clone() } else { Map::nil(ANY_MAP) }
    }

    /// The list of an argument that the signature says is one; a nil list for everything else.
    pub fn as_list(&self) -> List {
        if let Self::List(list) = self { list.clone() } else { List::nil(ANY_LIST) }
    }

    /// The object behind it, where it is one of the type `T`.
    pub fn downcast<T: 'static>(&self) -> Option<&T> {
        if let Self::Object(object) = self { object.as_any().downcast_ref() } else { None }
    }

    /// The zero of a type: what a missing key of a map gives.
    pub fn zero(of: Type) -> Self {
        match of.underlying() {
            Type::Bool => Self::Bool(false),
            Type::Int(width) => Self::Int(0, width),
            Type::Uint(width) => Self::Uint(0, width),
            Type::Float => Self::Float(0.0),
            Type::Complex => Self::Complex(0.0, 0.0),
            Type::String => Self::string(""),
            Type::List(_) => Self::List(List::nil(of)),
            Type::Map(_) => Self::Map(Map::nil(of)),
            Type::Any | Type::Object(_) | Type::Reflect | Type::Named(_) => Self::Nil,
        }
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<Str> for Value {
    fn from(text: Str) -> Self {
        Self::String(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::string(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::string(text)
    }
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        Self::List(list)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}
