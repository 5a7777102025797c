//! The layers: who may import whom, and where `unsafe` may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may know. Everyone may know the ground.
const GROUND: &[&str] = &["error", "limits", "dtype", "kernel"];
const ROOMS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("limits", &["error"]),
    ("dtype", &["error"]),
    ("kernel", &[]),
    ("floats", &[]),
    ("entropy", &[]),
    ("coordinates", &[]),
    ("quantizer", &[]),
    ("codec", &["coordinates", "entropy", "floats", "quantizer"]),
    ("container", &[]),
    ("io", &[]),
    ("pipeline", &[]),
    ("chunks", &["codec", "container"]),
    ("reader", &["chunks", "codec", "container", "floats", "io"]),
    ("stream", &["chunks", "codec", "container", "pipeline"]),
    ("survey", &["codec", "container", "io"]),
    ("plan", &["codec", "container", "floats", "io", "survey"]),
    ("writer", &["codec", "container", "io", "pipeline", "plan", "survey"]),
    ("verify", &["chunks", "container", "pipeline", "stream"]),
    ("convert", &["container", "io", "plan", "reader", "stream", "writer"]),
    ("model", &["convert", "io", "reader"]),
    ("compare", &["convert", "floats", "model", "pipeline"]),
    (
        "analysis",
        &[
            "codec",
            "convert",
            "coordinates",
            "entropy",
            "floats",
            "io",
            "model",
            "pipeline",
            "plan",
            "reader",
        ],
    ),
    ("stages", &["codec", "coordinates", "entropy", "quantizer"]),
];

/// The only files with `unsafe` in them.
const UNSAFE: &[&str] = &[
    "src/coordinates/hadamard/avx2.rs",
    "src/coordinates/integers/avx2.rs",
    "src/coordinates/transpose/avx2.rs",
    "src/entropy/rans/avx2.rs",
    "src/entropy/rans/avx512.rs",
    "src/entropy/rans/neon.rs",
    "src/io/map.rs",
    "src/kernel.rs",
    "src/quantizer/search/avx2.rs",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn relative(path: &Path) -> String {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_string_lossy().replace('\\', "/")
}

/// The code of a file: no comments, no tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code = |line: &str| line.split("//").next().unwrap().to_owned() + "\n";
    text.lines().map(code).collect()
}

/// The rooms that code names as `crate::room`, single or in braces.
fn imports(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        assert!(!after.starts_with('{'), "`use crate::{{…}}` hides what is imported: {after:.40}");
        let room: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        // What the crate exports lies in its rooms all the same: it must be named there.
        rooms.insert(room);
    }
    rooms
}

#[test]
fn rooms_import_only_what_they_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = BTreeSet::new();
    for path in sources(&root) {
        let name = relative(&path);
        let room =
            name.trim_start_matches("src/").split('/').next().unwrap().trim_end_matches(".rs");
        if room == "lib" || room == "bin" || name.ends_with("/tests.rs") {
            continue;
        }
        let allowed = ROOMS.iter().find(|(name, _)| *name == room);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name} is in no room"));
        seen.insert(room.to_owned());
        let code = code(&path);
        assert!(!code.contains("super::super::"), "{name} climbs out of its room");
        for import in imports(&code) {
            let fine = import == room
                || allowed.contains(&import.as_str())
                || (!GROUND.contains(&room) && GROUND.contains(&import.as_str()));
            assert!(fine, "{name} may not import crate::{import}");
        }
    }
    assert_eq!(seen.len(), ROOMS.len(), "a room of the list is gone");
}

#[test]
fn unsafe_is_where_it_may_be() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&root) {
        let name = relative(&path);
        let code = code(&path);
        let uses = code.contains("unsafe ") || code.contains("allow(unsafe_code)");
        assert_eq!(uses, UNSAFE.contains(&name.as_str()), "{name}");
    }
}
