//! The example of the README compiles; files linked in the README and steps listed in the crate
//! documentation exist.

use super::architecture::files;
use std::fs;
use std::path::{Path, PathBuf};

/// The lines between the first and the last are the example of the README.
#[rustfmt::skip]
#[allow(unsafe_code)] // `Reader::map`
fn example() -> occ::Result<()> {
let [mut wte, mut wpe] = [[0; 4]; 2];
// Reading. `open` reads the index; tensors are read when they are decoded.
let file = occ::Reader::open("model.occ")?;
let tensor = file.tensor("model.embed_tokens.weight")?; // dtype(), shape(), coded_bytes(), …
let bytes = tensor.decode()?; // in parallel, checked by its checksum; or decode_into(&mut buffer)
let weights = tensor.decode_vec::<f32>()?; // typed, for a tensor of dtype F32
let rows = tensor.decode_rows(100..164)?; // reads only the chunks that contain these rows
let f32s = tensor.decode_as(occ::Dtype::F32)?; // bytes of another float type
let coding = tensor.coding()?; // transform, rank, states, SNR; None for a lossless tensor
file.decode_all_into([("wte", &mut wte[..]), ("wpe", &mut wpe[..])])?; // several in parallel

// Zero-copy access to tensors that are stored raw.
// SAFETY: the file is neither modified nor truncated while it is mapped.
let mapped = unsafe { occ::Reader::map("model.occ")? };
let norm = mapped.tensor("model.norm.weight")?;
let raw: Option<&[u8]> = norm.as_raw(); // without a copy; aligned to 256 bytes from 4 KiB on

// Compressing a checkpoint to 3 bits per weight.
let checkpoint = occ::convert::Checkpoint::open("model.safetensors")?;
let encoding = occ::Encoding::bits(3.0).effort(9).keep("*.router.*");
let plan = checkpoint.plan(&encoding, None)?; // can be stored as JSON
let mut writer = occ::Writer::create("model.occ", occ::WriteOptions::default())?;
checkpoint.write_planned(&mut writer, &plan, None)?; // in place of None: a progress callback
writer.finish()?;
let _ = (bytes, weights, rows, f32s, coding, raw);
Ok(())
}

#[test]
fn linked_files_exist() {
    let readme = include_str!("../../README.md");
    let links: Vec<&str> =
        readme.split("](").skip(1).map(|after| after.split(')').next().unwrap()).collect();
    assert!(links.len() > 2);
    for link in links {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(link);
        assert!(path.exists(), "{link}");
    }
}

#[test]
fn readme_contains_the_example() {
    let readme = include_str!("../../README.md");
    let block = readme.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(include_str!("readme.rs").contains(block), "{block}");
    assert!(example().is_err(), "there is no model.occ here");
}

/// Every numbered step of the architecture section starts with a file or folder of `src`. The first
/// name in code after it is defined there. Other names are defined in `src`: functions and modules
/// without a type in the same layer, paths as files or folders.
#[test]
fn the_listed_steps_exist() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: PathBuf| (fs::read_to_string(&path).unwrap(), path);
    let texts: Vec<(String, PathBuf)> = files(&source).into_iter().map(read).collect();
    let documentation: String = include_str!("../../src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{line}\n"))
        .collect();
    let (_, lists) = documentation.split_once(" ## From").unwrap();
    let steps: Vec<&str> = lists.split(". `").skip(1).collect();
    assert!(steps.len() >= 25, "{}", steps.len());
    for step in steps {
        // The text after the last step of a list is not part of it.
        let step = step.split("\n\n").next().unwrap();
        let (place, rest) = step.split_once('`').unwrap();
        assert!(source.join(place).exists(), "{place}");
        let layer = place.split('/').next().unwrap();
        let names: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{place}");
        for (number, name) in names.into_iter().enumerate() {
            if name.contains('/') {
                assert!(source.join(name).exists(), "{name} in {place}");
                continue;
            }
            // Without the fields of a type.
            let name = name.split(" {").next().unwrap();
            let folder = match number {
                0 => source.join(place),
                _ if name.starts_with(char::is_lowercase) => source.join(layer),
                _ => source.clone(),
            };
            let mut below = texts.iter().filter(|(_, path)| path.starts_with(&folder));
            assert!(below.any(|(text, _)| defines(text, name)), "{name} in {place}");
        }
    }
}

/// Whether a file defines the function, method, type or module `name` or `Type::name`.
fn defines(text: &str, name: &str) -> bool {
    let (owner, name) = name.rsplit_once("::").unwrap_or(("", name));
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let implements = |line: &str| {
        line.starts_with("impl") && line.split(|c: char| !is_part(c)).any(|word| word == owner)
    };
    let is_defined_as = |kind: &str| {
        let definition = format!("{kind} {name}");
        text.split(definition.as_str()).skip(1).any(|after| !after.starts_with(is_part))
    };
    (owner.is_empty() || text.lines().any(implements))
        && ["fn", "struct", "enum", "mod"].into_iter().any(is_defined_as)
}
