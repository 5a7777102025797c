//! The architecture: allowed imports between layers, no import cycles between files, the files with
//! `unsafe`, and the length of files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The lowest layers, which every layer above them may import.
const BASE: &[&str] = &[
    "error",
    "file_kind",
    "request_failure",
    "limits",
    "dtype",
    "coordinates",
    "statistics_kind",
    "arch",
    "parallel",
    "gaussian",
    "linear_algebra",
];

/// Each layer, as a module path, and the layers that it may import besides itself. Layers outside
/// `BASE` may also import `BASE`. The longest path that matches a module is its layer.
const LAYERS: &[(&str, &[&str])] = &[
    ("error", &["file_kind", "request_failure"]),
    ("file_kind", &[]),
    ("request_failure", &[]),
    ("limits", &[]),
    ("arch", &["error"]),
    ("dtype", &["arch", "error"]),
    ("coordinates", &[]),
    ("statistics_kind", &[]),
    ("parallel", &["error"]),
    ("role", &[]),
    ("gaussian", &[]),
    ("linear_algebra", &[]),
    ("io", &[]),
    ("format", &[]),
    ("codec::entropy", &[]),
    ("codec::transform", &[]),
    ("codec::quantizer", &[]),
    ("codec::planes", &["codec", "codec::entropy"]),
    ("codec::dictionary", &["codec", "codec::entropy", "codec::planes"]),
    ("codec::repetition", &[]),
    ("codec::trellis", &["codec", "codec::entropy", "codec::transform", "codec::quantizer"]),
    ("codec", &["codec::dictionary", "codec::planes", "codec::repetition", "codec::trellis"]),
    ("read", &["codec", "format", "io"]),
    ("remote", &["io", "read"]),
    ("encode", &["codec", "codec::trellis", "format", "io", "role"]),
    ("candle", &["encode", "io", "read"]),
    ("convert", &["encode", "format", "io", "read"]),
    ("compare", &["convert"]),
    ("analysis", &["codec::entropy", "codec::transform", "convert", "encode", "io", "role"]),
    (
        "bench_internals",
        &["codec::entropy", "codec::planes", "codec::quantizer", "codec::transform"],
    ),
];

/// The only files with `unsafe` in them: instruction sets, kernels and the memory map.
const UNSAFE: &[&str] = &[
    "src/arch/mod.rs",
    "src/codec/entropy/rans/avx2.rs",
    "src/codec/entropy/rans/avx512.rs",
    "src/codec/entropy/rans/encode/avx2.rs",
    "src/codec/entropy/rans/encode/avx512.rs",
    "src/codec/entropy/rans/neon.rs",
    "src/codec/entropy/rans/state_machine/avx2.rs",
    "src/codec/entropy/rans/state_machine/avx512.rs",
    "src/codec/entropy/rans/state_machine/neon.rs",
    "src/codec/quantizer/feedback/rows/avx2.rs",
    "src/codec/quantizer/feedback/rows/avx512.rs",
    "src/codec/quantizer/viterbi/avx2.rs",
    "src/codec/transform/hadamard/avx2/forward.rs",
    "src/codec/transform/hadamard/avx2/inverse.rs",
    "src/codec/transform/hadamard/avx2/mod.rs",
    "src/codec/transform/integers/avx2.rs",
    "src/codec/transform/transpose/avx2.rs",
    "src/io/map.rs",
    "src/read/reader.rs",
];

/// The maximum number of lines of a file.
const MAX_LINES: usize = 500;

/// The folder of the command, which is a separate crate.
const COMMAND: &str = "src/bin/occ/";

/// A source file.
struct Source {
    /// The module path below the crate: `codec::planes`.
    module: String,
    /// Module paths and items that the file imports, as paths below the crate.
    imports: Vec<String>,
    /// Re-exports of the module: name and path.
    exports: Vec<(String, String)>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files in a folder. Folders named `target` contain generated files of dependencies.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                found.extend(files(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/")
}

/// The code of a file without comments and unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let without_comment = |line: &str| line.split("//").next().unwrap().to_owned() + "\n";
    text.lines().map(without_comment).collect()
}

/// All files of the library, without tests.
fn sources() -> Vec<Source> {
    let paths = files(&root().join("src"));
    let named = paths.iter().map(|path| (relative(path), path));
    named
        .filter(|(file, _)| !file.starts_with(COMMAND) && file != "src/lib.rs" && !is_test(file))
        .map(|(file, path)| Source::new(&file, &code(path)))
        .collect()
}

/// All files of the command.
fn command_sources() -> Vec<Source> {
    let paths = files(&root().join(COMMAND));
    paths.iter().map(|path| Source::new(&relative(path), &code(path))).collect()
}

fn is_test(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

impl Source {
    fn new(file: &str, code: &str) -> Self {
        let path = file.strip_prefix(COMMAND).unwrap_or(file);
        let path = path.trim_start_matches("src/").trim_end_matches(".rs");
        let module = path.trim_end_matches("/mod").replace('/', "::");
        let (mut imports, mut exports) = (Vec::new(), Vec::new());
        let mut rest = String::new();
        for statement in code.split_inclusive(';') {
            let Some((before, tree)) = use_statement(statement) else {
                rest.push_str(statement);
                continue;
            };
            let paths = flattened(tree).into_iter().filter_map(|path| absolute(&module, &path));
            if before.trim_end().ends_with(')') || before.trim_end().ends_with("pub") {
                exports.extend(paths.map(|path| (last(&path).to_owned(), path)));
            } else {
                imports.extend(paths);
            }
        }
        // Paths in expressions and types.
        for root in ["crate::", "super::"] {
            for (at, _) in rest.match_indices(root) {
                let before = rest[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                    continue;
                }
                let end = rest[at..].find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
                let path = &rest[at..end.map_or(rest.len(), |end| at + end)];
                imports.extend(absolute(&module, path.trim_end_matches(':')));
            }
        }
        Self { module, imports, exports }
    }
}

/// The text before the `use` of an import statement, and its tree of paths.
fn use_statement(statement: &str) -> Option<(&str, &str)> {
    let at = statement.rfind("use ").filter(|at| {
        let before = &statement[..*at];
        before.is_empty() || before.ends_with(char::is_whitespace)
    })?;
    Some((&statement[..at], statement[at + 4..].trim_end_matches(';').trim()))
}

/// The paths of a tree of imports.
fn flattened(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some(brace) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree).trim();
        return vec![path.trim_end_matches("::self").to_owned()];
    };
    let (prefix, inner) = (&tree[..brace], &tree[brace + 1..tree.rfind('}').unwrap_or(tree.len())]);
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| flattened(&format!("{prefix}{}", part.trim()))).collect()
}

/// A path as one below the crate; `None` for other crates.
fn absolute(module: &str, path: &str) -> Option<String> {
    let path: String = path.split_whitespace().collect();
    if let Some(rest) = path.strip_prefix("crate::") {
        return Some(rest.to_owned());
    }
    let mut parts: Vec<&str> = module.split("::").collect();
    let mut rest = path.as_str();
    if let Some(after) = rest.strip_prefix("self::") {
        rest = after;
    } else if rest.starts_with("super::") {
        while let Some(after) = rest.strip_prefix("super::") {
            parts.pop();
            rest = after;
        }
    } else {
        // A child module or another crate: decided later with the list of modules.
        return rest
            .chars()
            .next()
            .filter(char::is_ascii_lowercase)
            .map(|_| format!("?{module}::{rest}"));
    }
    parts.push(rest);
    Some(parts.join("::"))
}

fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

/// The module that defines the item of a path. Follows re-exports.
fn module_of(path: &str, modules: &BTreeMap<String, &Source>) -> Option<String> {
    let relative = path.strip_prefix('?');
    let path = relative.unwrap_or(path);
    if modules.contains_key(path) {
        return Some(path.to_owned());
    }
    let (parent, item) = path.rsplit_once("::")?;
    let holder = module_of(parent, modules)?;
    if relative.is_some() && holder != parent {
        return None;
    }
    let source = modules[&holder];
    match source.exports.iter().find(|(name, target)| name == item && target != path) {
        Some((_, target)) => module_of(target, modules),
        None => Some(holder),
    }
}

/// For every file the files that it imports from.
fn graph(sources: &[Source]) -> BTreeMap<&str, BTreeSet<String>> {
    let modules: BTreeMap<String, &Source> =
        sources.iter().map(|source| (source.module.clone(), source)).collect();
    let edges = sources.iter().map(|source| {
        let targets = source.imports.iter().filter_map(|path| {
            let module = module_of(path, &modules)?;
            // A relative path that is not below the module belongs to another crate.
            let is_external = path.starts_with('?') && module == source.module;
            (module != source.module && !is_external).then_some(module)
        });
        (source.module.as_str(), targets.collect())
    });
    edges.collect()
}

fn layer(module: &str) -> &'static str {
    let within = |name: &&str| {
        module == *name || module.strip_prefix(*name).is_some_and(|rest| rest.starts_with("::"))
    };
    let names = LAYERS.iter().map(|(name, _)| *name).filter(within);
    names.max_by_key(|name| name.len()).unwrap_or_else(|| panic!("{module} is in no layer"))
}

#[test]
fn layers_import_only_allowed_layers() {
    let sources = sources();
    let (mut seen, mut used) = (BTreeSet::new(), BTreeSet::new());
    for (module, imports) in graph(&sources) {
        let own = layer(module);
        seen.insert(own);
        let (_, allowed) = LAYERS.iter().find(|(name, _)| *name == own).unwrap();
        for import in imports {
            let other = layer(&import);
            let is_allowed = own == other
                || allowed.contains(&other)
                || (!BASE.contains(&own) && BASE.contains(&other));
            assert!(is_allowed, "{module} may not import {import}");
            used.insert((own, other));
        }
    }
    assert_eq!(seen.len(), LAYERS.len(), "a listed layer has no files");
    for (own, allowed) in LAYERS {
        for other in *allowed {
            assert!(used.contains(&(*own, *other)), "{own} does not import {other}");
        }
    }
}

#[test]
fn library_files_have_no_import_cycles() {
    check_for_cycles(&sources());
}

#[test]
fn command_files_have_no_import_cycles() {
    check_for_cycles(&command_sources());
}

fn check_for_cycles(sources: &[Source]) {
    let graph = graph(sources);
    let reach = |start: &str| {
        let (mut found, mut queue) = (BTreeSet::new(), vec![start.to_owned()]);
        while let Some(module) = queue.pop() {
            for next in &graph[module.as_str()] {
                if found.insert(next.clone()) {
                    queue.push(next.clone());
                }
            }
        }
        found
    };
    let cyclic: Vec<&str> =
        graph.keys().copied().filter(|module| reach(module).contains(*module)).collect();
    assert!(cyclic.is_empty(), "files in import cycles: {cyclic:#?}");
}

#[test]
fn unsafe_code_is_only_in_listed_files() {
    for path in files(&root().join("src")) {
        let (file, code) = (relative(&path), code(&path));
        let uses = code.contains("unsafe ") || code.contains("allow(unsafe_code)");
        assert_eq!(uses, UNSAFE.contains(&file.as_str()), "{file}");
    }
}

#[test]
fn files_are_short() {
    for folder in ["src", "tests", "benches", "examples", "fuzz"] {
        for path in files(&root().join(folder)) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= MAX_LINES, "{}: {lines} lines", relative(&path));
        }
    }
}

/// The analysis itself, on small examples.
#[test]
fn imports_are_found() {
    let a = Source::new(
        "src/a/mod.rs",
        "mod b;\npub(crate) use b::{C, d::E};\nuse crate::f::{self, G};\n",
    );
    assert_eq!(a.module, "a");
    assert_eq!(a.imports, ["f", "f::G"]);
    let exports: Vec<&str> = a.exports.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(exports, ["C", "E"]);
    let b = Source::new(
        "src/a/b.rs",
        "use super::C;\nuse std::io;\nfn x() { crate::f::y(); super::z() }\n",
    );
    assert_eq!(b.imports, ["a::C", "?a::b::std::io", "f::y", "a::z"]);
    let f = Source::new("src/f.rs", "use crate::a::C;\n");
    let all = [a, b, f];
    let graph = graph(&all);
    assert_eq!(graph["f"], BTreeSet::from(["a::b".to_owned()]));
    assert_eq!(graph["a::b"], BTreeSet::from(["a".to_owned(), "f".to_owned()]));
}
