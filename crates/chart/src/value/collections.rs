//! Lists and maps with Go's reference semantics: a copy of the handle is the same list or map, as Sprig's `set` expects.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::go_type::{ANY_LIST, ANY_MAP, BYTES, STRINGS, Type};
use super::{Str, Value};

/// A Go slice.
#[derive(Clone)]
pub struct List(Rc<ListInner>);

struct ListInner {
    of: Type,
    nil: bool,
    /// Shared apart from the type: Go may see one list under two types.
    items: Rc<RefCell<Vec<Value>>>,
    /// The bytes of an `[]uint8` that nobody has looked at one by one.
    raw: RefCell<Option<Str>>,
}

/// A Go map whose keys are strings. It iterates in the order of its keys, as templates do.
#[derive(Clone)]
pub struct Map(Rc<MapInner>);

struct MapInner {
    of: Type,
    nil: bool,
    /// Shared apart from the type: Go may see one map under two types.
    entries: Rc<RefCell<BTreeMap<Str, Value>>>,
}

impl List {
    /// A list of a Go type, such as [`STRINGS`]; `of` is the whole type, not that of the elements.
    pub fn of(of: Type, items: Vec<Value>) -> Self {
        Self(Rc::new(ListInner { of, nil: false, items: Rc::new(RefCell::new(items)), raw: RefCell::default() }))
    }

    /// An `[]interface {}`.
    pub fn any(items: Vec<Value>) -> Self {
        Self::of(ANY_LIST, items)
    }

    /// An `[]string`.
    pub fn strings<T: Into<Str>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::of(STRINGS, items.into_iter().map(|item| Value::String(item.into())).collect())
    }

    /// An `[]uint8`.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self(Rc::new(ListInner { of: BYTES, nil: false, items: Rc::default(), raw: RefCell::new(Some(bytes.into())) }))
    }

    /// Its elements, spread out.
    fn items_cell(&self) -> &RefCell<Vec<Value>> {
        if let Some(raw) = self.0.raw.take() {
            *self.0.items.borrow_mut() = raw.iter().map(|byte| Value::byte(*byte)).collect();
        }
        &self.0.items
    }

    /// The nil slice of a type: empty, and `null` in JSON.
    pub fn nil(of: Type) -> Self {
        Self(Rc::new(ListInner { of, nil: true, items: Rc::default(), raw: RefCell::default() }))
    }

    /// Its Go type.
    pub fn go_type(&self) -> Type {
        self.0.of
    }

    /// Whether it is Go's nil slice.
    pub fn is_nil(&self) -> bool {
        self.0.nil
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.0.raw.borrow().as_ref().map_or_else(|| self.0.items.borrow().len(), |raw| raw.len())
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An element.
    pub fn get(&self, index: usize) -> Option<Value> {
        self.items_cell().borrow().get(index).cloned()
    }

    /// All elements; each is a cheap handle.
    pub fn items(&self) -> Vec<Value> {
        self.items_cell().borrow().clone()
    }

    /// Reads in place. The reader must not change this list.
    pub fn with<R>(&self, read: impl FnOnce(&[Value]) -> R) -> R {
        read(&self.items_cell().borrow())
    }

    /// Changes in place, for all who hold it. The writer must not look at this list by another handle.
    pub fn change<R>(&self, write: impl FnOnce(&mut Vec<Value>) -> R) -> R {
        write(&mut self.items_cell().borrow_mut())
    }

    /// The bytes, where it is an `[]uint8`.
    pub fn as_bytes(&self) -> Option<Vec<u8>> {
        if !self.go_type().underlying().identical(BYTES) {
            return None;
        }
        if let Some(raw) = &*self.0.raw.borrow() {
            return Some(raw.to_vec());
        }
        self.with(|items| {
            items.iter().map(|item| if let Value::Uint(byte, _) = item { u8::try_from(*byte).ok() } else { None }).collect()
        })
    }

    /// The same list under another type.
    pub fn retyped(&self, of: Type) -> Self {
        self.items_cell();
        Self(Rc::new(ListInner { of, nil: self.0.nil, items: self.0.items.clone(), raw: RefCell::default() }))
    }

    /// Tells this list from all others that live now.
    pub(crate) fn address(&self) -> usize {
        Rc::as_ptr(&self.0.items).addr()
    }

    /// Whether both handles are one list.
    pub fn same(&self, that: &Self) -> bool {
        Rc::ptr_eq(&self.0.items, &that.0.items)
    }
}

impl Map {
    /// A map of a Go type, such as [`ANY_MAP`]; `of` is the whole type, not that of the elements.
    pub fn of(of: Type, entries: BTreeMap<Str, Value>) -> Self {
        Self(Rc::new(MapInner { of, nil: false, entries: Rc::new(RefCell::new(entries)) }))
    }

    /// An empty `map[string]interface {}`.
    pub fn any() -> Self {
        Self::of(ANY_MAP, BTreeMap::new())
    }

    /// The nil map of a type: empty, `null` in JSON, and not to be written.
    pub fn nil(of: Type) -> Self {
        Self(Rc::new(MapInner { of, nil: true, entries: Rc::default() }))
    }

    /// Its Go type.
    pub fn go_type(&self) -> Type {
        self.0.of
    }

    /// Whether it is Go's nil map.
    pub fn is_nil(&self) -> bool {
        self.0.nil
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.0.entries.borrow().len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Value> {
        self.0.entries.borrow().get(key.as_ref()).cloned()
    }

    /// Whether there is such a key.
    pub fn contains(&self, key: impl AsRef<[u8]>) -> bool {
        self.0.entries.borrow().contains_key(key.as_ref())
    }

    /// Sets a key, for all who hold the map. A nil map takes nothing: ask [`Self::is_nil`] before, where Go panics.
    pub fn insert(&self, key: impl Into<Str>, value: Value) {
        if !self.0.nil {
            self.0.entries.borrow_mut().insert(key.into(), value);
        }
    }

    /// Takes a key out, for all who hold the map.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<Value> {
        self.0.entries.borrow_mut().remove(key.as_ref())
    }

    /// The keys in order.
    pub fn keys(&self) -> Vec<Str> {
        self.0.entries.borrow().keys().cloned().collect()
    }

    /// All entries in the order of the keys; each is a pair of cheap handles.
    pub fn entries(&self) -> Vec<(Str, Value)> {
        self.0.entries.borrow().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Reads in place. The reader must not change this map.
    pub fn with<R>(&self, read: impl FnOnce(&BTreeMap<Str, Value>) -> R) -> R {
        read(&self.0.entries.borrow())
    }

    /// A copy of the first level, with a type of choice.
    pub fn shallow(&self, of: Type) -> Self {
        Self::of(of, self.0.entries.borrow().clone())
    }

    /// The same map under another type.
    pub fn retyped(&self, of: Type) -> Self {
        Self(Rc::new(MapInner { of, nil: self.0.nil, entries: self.0.entries.clone() }))
    }

    /// Tells this map from all others that live now.
    pub(crate) fn address(&self) -> usize {
        Rc::as_ptr(&self.0.entries).addr()
    }

    /// Whether both handles are one map.
    pub fn same(&self, that: &Self) -> bool {
        Rc::ptr_eq(&self.0.entries, &that.0.entries)
    }
}

impl Drop for ListInner {
    fn drop(&mut self) {
        if let Some(items) = Rc::get_mut(&mut self.items) {
            take_apart(std::mem::take(items.get_mut()));
        }
    }
}

impl Drop for MapInner {
    fn drop(&mut self) {
        if let Some(entries) = Rc::get_mut(&mut self.entries)
            && entries.get_mut().values().any(is_collection)
        {
            take_apart(std::mem::take(entries.get_mut()).into_values().collect());
        }
    }
}

fn is_collection(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_))
}

/// Drops level by level, since a template can nest lists as deeply as it can count.
fn take_apart(mut work: Vec<Value>) {
    if !work.iter().any(is_collection) {
        return;
    }
    while let Some(value) = work.pop() {
        match value {
            Value::List(mut list) => {
                if let Some(inner) = Rc::get_mut(&mut list.0).and_then(|inner| Rc::get_mut(&mut inner.items)) {
                    work.append(inner.get_mut());
                }
            }
            Value::Map(mut map) => {
                if let Some(inner) = Rc::get_mut(&mut map.0).and_then(|inner| Rc::get_mut(&mut inner.entries)) {
                    work.extend(std::mem::take(inner.get_mut()).into_values());
                }
            }
            _ => {}
        }
    }
}

impl Default for Map {
    fn default() -> Self {
        Self::any()
    }
}

impl FromIterator<(Str, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Str, Value)>>(entries: I) -> Self {
        Self::of(ANY_MAP, entries.into_iter().collect())
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.go_type())?;
        self.with(|items| f.debug_list().entries(items).finish())
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.go_type())?;
        self.with(|entries| f.debug_map().entries(entries).finish())
    }
}
