//! A region's data. Pure.

use std::{collections::BTreeMap, io};

use crate::raft::Machine;

#[derive(Debug, Default)]
pub struct Kv {
    map: BTreeMap<String, String>,
    /// Of keys and values.
    bytes: u64,
}

impl Kv {
    pub fn get(&self, key: &str) -> Option<&String> {
        self.map.get(key)
    }

    pub fn keys(&self) -> u64 {
        self.map.len() as u64
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn put(&mut self, key: String, value: String) {
        self.bytes += value.len() as u64;
        let key_size = key.len() as u64;
        match self.map.insert(key, value) {
            Some(old) => self.bytes -= old.len() as u64,
            None => self.bytes += key_size,
        }
    }
}

/// A put as the log holds it.
pub fn put(key: &str, value: &str) -> Vec<u8> {
    // A pair of strings: JSON can say it.
    serde_json::to_vec(&(key, value)).unwrap_or_default()
}

impl Machine for Kv {
    type Answer = ();

    fn apply(&mut self, command: &[u8]) {
        // Only `put` above makes commands.
        if let Ok((key, value)) = serde_json::from_slice(command) {
            self.put(key, value);
        }
    }

    fn save(&self) -> Vec<u8> {
        serde_json::to_vec(&self.map).unwrap_or_default()
    }

    fn load(bytes: &[u8]) -> io::Result<Self> {
        let mut kv = Self::default();
        let map: BTreeMap<String, String> = serde_json::from_slice(bytes)?;
        map.into_iter().for_each(|(key, value)| kv.put(key, value));
        Ok(kv)
    }
}
