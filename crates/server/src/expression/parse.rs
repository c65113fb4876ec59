//! Expressions, parsed once: the tree that is evaluated, in which the objects that policies make (`Object.spec{…}`, `JSONPatch{…}`) are maps.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedEntryExpr, LiteralValue, MapEntryExpr, MapExpr};
use kube_cel::cel::parser::Parser;

use super::ExpressionError;

/// How many are kept. Parsing takes milliseconds, and a policy's expressions meet every write.
const KEPT_MAX: usize = 2048;

static KNOWN: LazyLock<Mutex<HashMap<String, Arc<IdedExpr>>>> = LazyLock::new(Mutex::default);

/// The tree of an expression.
pub(super) fn parsed(expression: &str) -> Result<Arc<IdedExpr>, ExpressionError> {
    if let Some(found) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(expression) {
        return Ok(Arc::clone(found));
    }
    let parser = Parser::new().enable_optional_syntax(true);
    let mut tree = parser.parse(expression).map_err(|error| ExpressionError::Compile(error.to_string()))?;
    structs_as_maps(&mut tree)?;
    let tree = Arc::new(tree);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= KEPT_MAX {
        known.clear();
    }
    known.insert(expression.to_owned(), Arc::clone(&tree));
    Ok(tree)
}

/// The evaluator knows no structs. Those that there are here are as good as maps, and any other is an error.
fn structs_as_maps(tree: &mut IdedExpr) -> Result<(), ExpressionError> {
    match &mut tree.expr {
        Expr::Unspecified => return Err(ExpressionError::Compile("an expression is missing".to_owned())),
        Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Call(call) => {
            call.target.iter_mut().try_for_each(|target| structs_as_maps(target))?;
            call.args.iter_mut().try_for_each(structs_as_maps)?;
        }
        Expr::Comprehension(part) => {
            let parts = [&mut part.iter_range, &mut part.accu_init, &mut part.loop_cond, &mut part.loop_step, &mut part.result];
            parts.into_iter().try_for_each(structs_as_maps)?;
        }
        Expr::List(list) => list.elements.iter_mut().try_for_each(structs_as_maps)?,
        Expr::Select(select) => structs_as_maps(&mut select.operand)?,
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    structs_as_maps(&mut entry.key)?;
                    structs_as_maps(&mut entry.value)?;
                }
            }
        }
        Expr::Struct(made) => {
            let name = made.type_name.trim_start_matches('.');
            if !(name == "JSONPatch" || name == "Object" || name.starts_with("Object.")) {
                let text = format!("undeclared reference to '{name}' (in container '')");
                return Err(ExpressionError::Compile(text));
            }
            let entries = std::mem::take(&mut made.entries).into_iter().map(map_entry).collect::<Result<_, _>>()?;
            tree.expr = Expr::Map(MapExpr { entries });
        }
    }
    Ok(())
}

fn map_entry(entry: IdedEntryExpr) -> Result<IdedEntryExpr, ExpressionError> {
    let id = entry.id;
    let expr = match entry.expr {
        EntryExpr::StructField(mut field) => {
            structs_as_maps(&mut field.value)?;
            let key = Expr::Literal(LiteralValue::String(field.field.into()));
            EntryExpr::MapEntry(MapEntryExpr { key: IdedExpr { id, expr: key }, value: field.value, optional: field.optional })
        }
        other => other,
    };
    Ok(IdedEntryExpr { id, expr })
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use api::value;

    #[test]
    fn objects_of_policies_are_made_and_any_others_are_errors() {
        let mut scope = Scope::new();
        scope.put("object", &value!({"spec": {"replicas": 2}}));
        let made = scope.document("Object{spec: Object.spec{replicas: object.spec.replicas + 1, paused: true}}").unwrap();
        assert_eq!(made, value!({"spec": {"paused": true, "replicas": 3}}));
        let patch =
            scope.document(r#"[JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("a/b"), value: "x"}]"#);
        assert_eq!(patch.unwrap(), value!([{"op": "add", "path": "/metadata/labels/a~1b", "value": "x"}]));
        for odd in ["Odd{a: 1}", "... [] bad expression", ""] {
            let error = scope.document(odd).unwrap_err().to_string();
            assert!(error.starts_with("compilation failed"), "{odd}: {error}");
        }
    }
}
