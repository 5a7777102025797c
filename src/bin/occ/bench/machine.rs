//! The machine that was measured.

use std::env;

/// The processor's model or, if the system does not report it, its architecture.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    let model = line.and_then(|line| line.split_once(':')).map(|(_, model)| model.trim());
    model.unwrap_or(env::consts::ARCH).to_owned()
}
