//! Deep equality and emptiness, as Go's reflection and Sprig have them.

use crate::value::Value;

/// Go's `reflect.DeepEqual`: alike in type and content. A nil list is not an empty one, and NaN is not itself.
pub fn deep_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a, width_a), Value::Int(b, width_b)) => a == b && width_a == width_b,
        (Value::Uint(a, width_a), Value::Uint(b, width_b)) => a == b && width_a == width_b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Complex(a, b), Value::Complex(c, d)) => a == c && b == d,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            a.go_type() == b.go_type()
                && a.is_nil() == b.is_nil()
                && a.len() == b.len()
                && (a.same(b) || a.items().iter().zip(b.items()).all(|(a, b)| deep_equal(a, &b)))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.go_type() == b.go_type()
                && a.is_nil() == b.is_nil()
                && a.len() == b.len()
                && (a.same(b) || a.entries().iter().all(|(key, a)| b.get(key).is_some_and(|b| deep_equal(a, &b))))
        }
        (Value::Object(a), Value::Object(b)) => {
            if std::rc::Rc::ptr_eq(a, b) {
                return true;
            }
            let scalars = (a.scalar(), b.scalar());
            a.type_name() == b.type_name()
                && match scalars {
                    (Some(a), Some(b)) => deep_equal(&a, &b),
                    _ => a.print() == b.print() && fields_equal(&a.fields(), &b.fields()),
                }
        }
        _ => false,
    }
}

fn fields_equal(one: &[(&'static str, Value)], other: &[(&'static str, Value)]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|((_, a), (_, b))| deep_equal(a, b))
}

/// Whether Sprig calls it empty: nil, zero, false, or without elements. A struct never is.
pub fn is_empty(value: &Value) -> bool {
    !value.truth()
}
