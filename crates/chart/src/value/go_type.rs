//! Go's types as far as templates meet them: what `typeOf` and `%T` print, what `kindOf` prints, and what a parameter accepts.

use std::fmt;

use crate::functions::Function;

/// A Go type. Constant tables name element types by reference, so that a type stays `Copy`.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// `interface {}`
    Any,
    /// `bool`
    Bool,
    /// `int` and its sized kin
    Int(IntKind),
    /// `uint` and its sized kin
    Uint(UintKind),
    /// `float64`
    Float,
    /// `complex128`
    Complex,
    /// `string`
    String,
    /// A slice of an element type
    List(&'static Type),
    /// A map from strings to an element type
    Map(&'static Type),
    /// A list or map type with a name and perhaps methods of its own
    Named(&'static Named),
    /// A struct or pointer of Go code, known here by its name alone
    Object(&'static str),
    /// `reflect.Value`: what Go's builtin functions take, which accepts everything, nil too
    Reflect,
}

/// The widths of signed integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in Go")]
pub enum IntKind {
    Int,
    Int8,
    Int16,
    Int32,
    Int64,
}

/// The widths of unsigned integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in Go")]
pub enum UintKind {
    Uint,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
}

/// A named type: `common.Values` is a `map[string]interface {}` with methods.
#[derive(Debug)]
pub struct Named {
    /// The name with its package, as `%T` prints it.
    pub name: &'static str,
    /// What it is made of.
    pub underlying: Type,
    /// Its methods; the receiver is the first argument of the call and not among the parameters.
    pub methods: &'static [Function],
}

/// Go's kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in Go")]
pub enum Kind {
    Invalid,
    Interface,
    Bool,
    Int(IntKind),
    Uint(UintKind),
    Float64,
    Complex128,
    String,
    Slice,
    Map,
    Struct,
    Pointer,
    Func,
}

/// `map[string]interface {}`
pub const ANY_MAP: Type = Type::Map(&Type::Any);
/// `[]interface {}`
pub const ANY_LIST: Type = Type::List(&Type::Any);
/// `[]string`
pub const STRINGS: Type = Type::List(&Type::String);
/// `int`
pub const INT: Type = Type::Int(IntKind::Int);
/// `int64`
pub const INT64: Type = Type::Int(IntKind::Int64);
/// `uint8`
pub const BYTE: Type = Type::Uint(UintKind::Uint8);
/// `[]uint8`
pub const BYTES: Type = Type::List(&BYTE);

impl Type {
    /// The type below the name.
    pub fn underlying(self) -> Self {
        if let Self::Named(named) = self { named.underlying } else { self }
    }

    /// What a list or map holds; `interface {}` for everything else.
    pub fn element(self) -> Self {
        match self.underlying() {
            Self::List(element) | Self::Map(element) => *element,
            _ => Self::Any,
        }
    }

    /// The kind.
    pub fn kind(self) -> Kind {
        match self.underlying() {
            Self::Any => Kind::Interface,
            Self::Bool => Kind::Bool,
            Self::Int(width) => Kind::Int(width),
            Self::Uint(width) => Kind::Uint(width),
            Self::Float => Kind::Float64,
            Self::Complex => Kind::Complex128,
            Self::String => Kind::String,
            Self::List(_) => Kind::Slice,
            Self::Map(_) => Kind::Map,
            Self::Object(name) if name.starts_with('*') => Kind::Pointer,
            Self::Object(_) | Self::Reflect | Self::Named(_) => Kind::Struct,
        }
    }

    /// Whether nil may stand for it.
    pub fn can_be_nil(self) -> bool {
        matches!(self, Self::Reflect) || matches!(self.kind(), Kind::Interface | Kind::Slice | Kind::Map | Kind::Pointer)
    }

    /// Whether a value of this type may be given where `target` is wanted, as Go assigns: identical, or alike below at most one name.
    pub fn assignable_to(self, target: Self) -> bool {
        match (self, target) {
            (_, Self::Any | Self::Reflect) => true,
            (Self::Named(a), Self::List(_) | Self::Map(_)) => a.underlying.identical(target),
            (Self::List(_) | Self::Map(_), Self::Named(b)) => self.identical(b.underlying),
            _ => self.identical(target),
        }
    }

    /// Whether both are one type.
    pub fn identical(self, that: Self) -> bool {
        match (self, that) {
            (Self::Any, Self::Any) | (Self::Bool, Self::Bool) | (Self::Float, Self::Float) => true,
            (Self::Complex, Self::Complex) | (Self::String, Self::String) | (Self::Reflect, Self::Reflect) => true,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Uint(a), Self::Uint(b)) => a == b,
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.identical(*b),
            (Self::Named(a), Self::Named(b)) => a.name == b.name,
            (Self::Object(a), Self::Object(b)) => a == b,
            _ => false,
        }
    }
}

impl PartialEq for Type {
    fn eq(&self, that: &Self) -> bool {
        self.identical(*that)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("interface {}"),
            Self::Bool => f.write_str("bool"),
            Self::Int(width) => f.write_str(width.name()),
            Self::Uint(width) => f.write_str(width.name()),
            Self::Float => f.write_str("float64"),
            Self::Complex => f.write_str("complex128"),
            Self::String => f.write_str("string"),
            Self::List(element) => write!(f, "[]{element}"),
            Self::Map(element) => write!(f, "map[string]{element}"),
            Self::Named(named) => f.write_str(named.name),
            Self::Object(name) => f.write_str(name),
            Self::Reflect => f.write_str("reflect.Value"),
        }
    }
}

impl IntKind {
    /// As Go prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
        }
    }
}

impl UintKind {
    /// As Go prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uint => "uint",
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
        }
    }
}

impl Kind {
    /// As `kindOf` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Interface => "interface",
            Self::Bool => "bool",
            Self::Int(width) => width.name(),
            Self::Uint(width) => width.name(),
            Self::Float64 => "float64",
            Self::Complex128 => "complex128",
            Self::String => "string",
            Self::Slice => "slice",
            Self::Map => "map",
            Self::Struct => "struct",
            Self::Pointer => "ptr",
            Self::Func => "func",
        }
    }
}
