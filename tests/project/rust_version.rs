//! The `rust-version` of `Cargo.toml` is that of the crate and its dependencies, and no newer.

use super::architecture::files;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the crate itself needs: AVX-512 is stable since 1.89, `if let` chains since 1.88. Functions of
/// the standard library are checked by clippy (`incompatible_msrv`).
const LANGUAGE: [u64; 2] = [1, 89];

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Major and minor version of a package's `rust-version`.
fn rust_version(package: &Value) -> Option<[u64; 2]> {
    let mut parts = package["rust_version"].as_str()?.split('.').map(|part| part.parse().unwrap());
    Some([parts.next()?, parts.next().unwrap_or(0)])
}

/// Syntax that is newer, and that no lint finds: guards with `if let`, which are stable since 1.95.
#[test]
fn guards_of_matches_bind_nothing() {
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().map(|line| line.split("//").next().unwrap()) {
            let binds = |(before, after): (&str, &str)| {
                let guard = !before.contains("=>") && !before.contains('=') && after.contains("=>");
                guard && !before.trim().is_empty()
            };
            let found = line.split_once(" if let ").is_some_and(binds);
            assert!(!found, "{}: {line}", path.display());
        }
    }
}

#[test]
fn rust_version_is_what_is_needed() {
    let compiler = run(Command::new("rustc").arg("-vV"));
    let host = compiler.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Packages of other platforms may not have been downloaded.
    let arguments =
        ["metadata", "--format-version", "1", "--locked", "--all-features", "--filter-platform"];
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(arguments).arg(host).current_dir(env!("CARGO_MANIFEST_DIR"));
    let metadata: Value = serde_json::from_str(&run(&mut metadata)).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let (own, others): (Vec<_>, Vec<_>) =
        packages.iter().partition(|package| package["name"] == env!("CARGO_PKG_NAME"));
    let newest = others.iter().filter_map(|package| rust_version(package)).max().unwrap();
    assert_eq!(rust_version(own[0]), Some(newest.max(LANGUAGE)));
}
