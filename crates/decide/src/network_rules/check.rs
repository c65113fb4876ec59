//! Judges a rule set, whoever made it: the kernel counts on each number below a frontend's count having a backend.

use std::collections::BTreeMap;

use super::{Key, Spread, Value, Verdict, Whom};

/// What is wrong with these entries; nothing, as a rule.
#[must_use]
pub fn check(entries: &BTreeMap<Key, Value>) -> Vec<String> {
    let mut faults = Vec::new();
    for (key, value) in entries {
        match (key, value) {
            (Key::Frontend(_, frontend), Value::Verdict(Verdict::Spread(spread))) => {
                if spread.count == 0 {
                    faults.push(format!("{frontend:?} is spread over nothing"));
                }
                for index in 0..spread.count {
                    match entries.get(&Key::Backend(*frontend, spread.scope, index)) {
                        Some(Value::Backend(backend)) => {
                            let member = entries.contains_key(&Key::Member(*frontend, *backend));
                            if spread.affinity_seconds.is_some() && !member {
                                faults.push(format!("{backend:?} of {frontend:?} cannot keep its clients"));
                            }
                        }
                        _ => faults.push(format!("backend {index} of {frontend:?} is missing")),
                    }
                }
            }
            (Key::Frontend(..), Value::Verdict(_)) | (Key::Member(..) | Key::Hairpin(_) | Key::Restricted(_), Value::Present) => {
            }
            (Key::Allowed(frontend, _), Value::Present) => {
                if !entries.contains_key(&Key::Restricted(*frontend)) {
                    faults.push(format!("{frontend:?} allows some and keeps nobody out"));
                }
            }
            (Key::Backend(frontend, scope, index), Value::Backend(_)) => {
                let used = [Whom::Everyone, Whom::Outsiders].iter().any(|whom| {
                    let verdict = entries.get(&Key::Frontend(*whom, *frontend));
                    matches!(verdict, Some(Value::Verdict(Verdict::Spread(Spread { count, scope: of, .. }))) if of == scope && index < count)
                });
                if !used {
                    faults.push(format!("backend {index} of {frontend:?} is never chosen"));
                }
            }
            (key, value) => faults.push(format!("{key:?} cannot say {value:?}")),
        }
    }
    faults
}
