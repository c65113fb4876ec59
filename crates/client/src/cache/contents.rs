//! The objects of a cache and their indexes. Knows no events and no locks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use kube::Resource;

use super::Change;
use crate::Key;

/// Reads from an object the values under which an index finds it.
pub type Values<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;

struct IndexData<K> {
    name: &'static str,
    values: Values<K>,
    found: HashMap<Box<str>, BTreeMap<Key, Arc<K>>>,
}

/// The objects of a cache.
pub struct Contents<K> {
    objects: BTreeMap<Key, Arc<K>>,
    indexes: Vec<IndexData<K>>,
}

impl<K> Default for Contents<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), indexes: Vec::new() }
    }
}

impl<K: Resource> Contents<K> {
    pub fn objects(&self) -> &BTreeMap<Key, Arc<K>> {
        &self.objects
    }

    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.objects.get(key).cloned()
    }

    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let first = Key::new(namespace, "");
        self.objects
            .range(first..)
            .take_while(|(key, _)| key.namespace() == namespace)
            .map(|(_, object)| Arc::clone(object))
            .collect()
    }

    pub fn put(&mut self, object: K) -> Change<K> {
        let key = Key::of(&object);
        let new = Arc::new(object);
        let old = self.objects.insert(key.clone(), Arc::clone(&new));
        for index in &mut self.indexes {
            if let Some(old) = &old {
                index.remove(&key, old);
            }
            index.put(&key, &new);
        }
        Change { key, old, new: Some(new) }
    }

    pub fn remove(&mut self, key: &Key) -> Option<Change<K>> {
        let (key, old) = self.objects.remove_entry(key)?;
        for index in &mut self.indexes {
            index.remove(&key, &old);
        }
        Some(Change { key, old: Some(old), new: None })
    }

    /// Puts these in the place of all others. What is the same is no change.
    pub fn replace(&mut self, objects: Vec<K>) -> Vec<Change<K>> {
        let mut gone: BTreeMap<Key, ()> = self.objects.keys().map(|key| (key.clone(), ())).collect();
        let mut changes = Vec::new();
        for object in objects {
            let key = Key::of(&object);
            gone.remove(&key);
            let version = &object.meta().resource_version;
            let same = self.objects.get(&key).is_some_and(|old| old.meta().resource_version == *version);
            if !same {
                changes.push(self.put(object));
            }
        }
        changes.extend(gone.keys().filter_map(|key| self.remove(key)));
        changes
    }

    /// The place of the index of that name, made if there is none.
    pub fn index(&mut self, name: &'static str, values: Values<K>) -> usize {
        if let Some(place) = self.indexes.iter().position(|index| index.name == name) {
            return place;
        }
        let mut index = IndexData { name, values, found: HashMap::new() };
        for (key, object) in &self.objects {
            index.put(key, object);
        }
        self.indexes.push(index);
        self.indexes.len() - 1
    }

    pub fn indexed(&self, place: usize, value: &str) -> Vec<Arc<K>> {
        self.indexes[place].found.get(value).map(|found| found.values().cloned().collect()).unwrap_or_default()
    }

    pub fn count(&self, place: usize, value: &str) -> usize {
        self.indexes[place].found.get(value).map_or(0, BTreeMap::len)
    }
}

impl<K> IndexData<K> {
    fn put(&mut self, key: &Key, object: &Arc<K>) {
        for value in (self.values)(object) {
            self.found.entry(value.into()).or_default().insert(key.clone(), Arc::clone(object));
        }
    }

    fn remove(&mut self, key: &Key, object: &K) {
        for value in (self.values)(object) {
            if let Some(found) = self.found.get_mut(value.as_str()) {
                found.remove(key);
                if found.is_empty() {
                    self.found.remove(value.as_str());
                }
            }
        }
    }
}
