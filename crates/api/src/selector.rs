//! Label and field selectors: parsed from a query or from an object, and matched.
//!
//! Never knows which fields a kind can be selected by; the kind's row says that.

mod parse;
#[cfg(test)]
mod tests;

use crate::document::{Map, Value};
use std::fmt;

/// Why a selector cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text does not have the form.
    #[error("{0}")]
    Parse(String),
    /// A field by which the kind cannot be selected.
    #[error("field label not supported: {0}")]
    Field(String),
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// One of the values.
    In,
    /// None of the values, or no such label.
    NotIn,
    /// There is such a label.
    Exists,
    /// There is no such label.
    DoesNotExist,
    /// A number above the value.
    GreaterThan,
    /// A number below the value.
    LessThan,
}

/// One condition on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label's name.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what, sorted.
    pub values: Vec<String>,
}

/// Conditions on labels, all of which must hold. The default has none and matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// The selector that matches everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// The selector that matches nothing.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// A selector out of a query such as `app=web,tier in (a, b),!old`.
    ///
    /// # Errors
    /// When the text does not have the form.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        Ok(Self { requirements: parse::labels(text)?, nothing: false })
    }

    /// A selector out of conditions, all of which must hold.
    pub fn of(requirements: Vec<Requirement>) -> Self {
        Self { requirements, nothing: false }
    }

    /// The same selector with more conditions; one that matches nothing still does.
    #[must_use]
    pub fn and(&self, more: impl IntoIterator<Item = Requirement>) -> Self {
        let mut narrowed = self.clone();
        narrowed.requirements.extend(more);
        narrowed
    }

    /// A selector out of a plain map such as a Service's.
    pub fn from_map(map: &Map) -> Self {
        let requirements = map
            .iter()
            .map(|(key, value)| Requirement {
                key: key.to_owned(),
                operator: Operator::In,
                values: vec![value.as_str().unwrap_or("").to_owned()],
            })
            .collect();
        Self { requirements, nothing: false }
    }

    /// A selector out of a `metav1.LabelSelector`; `null` selects nothing, an empty one everything.
    ///
    /// # Errors
    /// When an expression has an unknown operator or values that do not fit it.
    pub fn from_object(selector: &Value) -> Result<Self, SelectorError> {
        let Some(object) = selector.as_object() else { return Ok(Self::nothing()) };
        let mut parsed = object.get("matchLabels").and_then(Value::as_object).map_or_else(Self::everything, Self::from_map);
        for expression in selector.array_at(&["matchExpressions"]) {
            let key = expression.str_at(&["key"]).unwrap_or("");
            let operator = match expression.str_at(&["operator"]).unwrap_or("") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(SelectorError::Parse(format!("\"{other}\" is not a valid label selector operator"))),
            };
            let values = expression.array_at(&["values"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
            parsed.requirements.push(parse::requirement(key, operator, values)?);
        }
        Ok(parsed)
    }

    /// The conditions.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether everything matches.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Whether labels match.
    pub fn matches(&self, labels: Option<&Map>) -> bool {
        self.matches_by(|key| labels?.str(key))
    }

    /// Whether labels match, by a function that looks a label up.
    pub fn matches_by<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }
}

impl Requirement {
    fn matches(&self, label: Option<&str>) -> bool {
        let number = |text: &str| text.parse::<i64>().ok();
        match (self.operator, label) {
            (Operator::Exists, found) => found.is_some(),
            (Operator::DoesNotExist, found) => found.is_none(),
            (Operator::In, Some(label)) => self.values.iter().any(|value| value == label),
            (Operator::NotIn, Some(label)) => self.values.iter().all(|value| value != label),
            (Operator::NotIn, None) => true,
            (Operator::GreaterThan, Some(label)) => number(label).zip(number(&self.values[0])).is_some_and(|(a, b)| a > b),
            (Operator::LessThan, Some(label)) => number(label).zip(number(&self.values[0])).is_some_and(|(a, b)| a < b),
            (_, None) => false,
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.join(",");
        let key = &self.key;
        match self.operator {
            Operator::In if self.values.len() == 1 => write!(f, "{key}={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn if self.values.len() == 1 => write!(f, "{key}!={values}"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// One condition on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// The field, such as `spec.nodeName`.
    pub field: String,
    /// Whether it must equal the value, or must not.
    pub equal: bool,
    /// The value.
    pub value: String,
}

/// Conditions on fields, all of which must hold. The default has none and matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// The conditions.
    pub requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// A selector out of a query such as `metadata.name=a,status.phase!=Running`.
    ///
    /// # Errors
    /// When the text does not have the form.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        Ok(Self { requirements: parse::fields(text)? })
    }

    /// Whether everything matches.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether fields match, by a function that looks a field up.
    pub fn matches_by<'f>(&self, field: impl Fn(&str) -> Option<std::borrow::Cow<'f, str>>) -> bool {
        self.requirements
            .iter()
            .all(|requirement| (field(&requirement.field).as_deref().unwrap_or("") == requirement.value) == requirement.equal)
    }

    /// The value that a field must have, if the selector pins it.
    pub fn pinned(&self, field: &str) -> Option<&str> {
        self.requirements
            .iter()
            .find(|requirement| requirement.equal && requirement.field == field)
            .map(|requirement| requirement.value.as_str())
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            let sign = if requirement.equal { "=" } else { "!=" };
            write!(f, "{}{sign}{}", requirement.field, requirement.value)?;
        }
        Ok(())
    }
}
