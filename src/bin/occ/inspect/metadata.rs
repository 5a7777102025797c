//! The metadata of safetensors files.

use serde_json::Value;
use std::fmt;

/// Characters of a value that are shown.
const VALUE_CHARACTERS: usize = 200;

/// The entries of the metadata in a safetensors header; none if it is invalid.
pub fn entries(header: &[u8]) -> Vec<(String, String)> {
    let json: Option<Value> = serde_json::from_slice(header).ok();
    let entries = json.as_ref().and_then(|json| json.get("__metadata__")?.as_object());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    entries.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// The metadata of several files in lines. What is the same in all of them appears once.
#[derive(Default)]
pub struct Lines(Vec<String>);

impl Lines {
    pub fn add(&mut self, header: &[u8]) {
        for (key, value) in entries(header) {
            let end = if value.chars().nth(VALUE_CHARACTERS).is_some() { "…" } else { "" };
            let value: String = value.chars().take(VALUE_CHARACTERS).collect();
            let (key, value) = (key.escape_debug(), value.escape_debug());
            let line = format!("metadata {key}: {value}{end}");
            if !self.0.contains(&line) {
                self.0.push(line);
            }
        }
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
