//! The metadata of safetensors files.

use crate::table::output_width;
use serde_json::Value;
use std::fmt;

/// Characters of a value that are shown, where the terminal has room.
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
            let start = format!("metadata {}: ", key.escape_debug());
            let room = output_width().saturating_sub(start.chars().count());
            let value = value.escape_debug().to_string();
            let line = match value.char_indices().nth(room.min(VALUE_CHARACTERS)) {
                None => start + &value,
                Some(_) => {
                    let kept = room.min(VALUE_CHARACTERS).saturating_sub(1);
                    start + &value.chars().take(kept).collect::<String>() + "…"
                }
            };
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
