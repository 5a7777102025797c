//! The README's example compiles, because it is this one.

/// Between the braces: the lines of the README.
#[rustfmt::skip]
fn example() -> occ::Result<()> {
let [mut wte, mut wpe] = [[0; 4]; 2];
let file = occ::Reader::open("model.occ")?; // a memory map: opening reads the index, no tensor
let tensor = file.tensor("model.embed_tokens.weight")?; // dtype(), shape(), coded_bytes(), …
let bytes = tensor.decode()?; // in parallel, every chunk checked; or decode_into(&mut buffer)
file.decode_all_into([("wte", &mut wte[..]), ("wpe", &mut wpe[..])])?; // many at once: faster
let rows = tensor.decode_rows(100..164)?; // touches only the chunks that hold them
let raw: Option<&[u8]> = tensor.as_raw(); // zero-copy, 256-byte aligned, where stored raw
let f32s = tensor.decode_as(occ::Dtype::F32)?; // from the lattice to F32, rounded once
let coding = tensor.coding()?; // coordinates, rank, states, SNR; None where nothing was lost

let checkpoint = occ::convert::Checkpoint::open("model.safetensors")?;
let encoding = occ::Encoding::bits(3.0).effort(9).keep("*.router.*");
let plan = checkpoint.plan(&encoding, None)?; // can be kept as JSON
let mut writer = occ::Writer::create("model.occ", occ::WriteOptions::default())?;
checkpoint.write_planned(&mut writer, &plan, None)?;
writer.finish()?;
let _ = (bytes, rows, raw, f32s, coding);
Ok(())
}

/// Links to files of the repository lead somewhere.
#[test]
fn links_lead_somewhere() {
    let readme = include_str!("../README.md");
    let links: Vec<&str> =
        readme.split("](").skip(1).map(|after| after.split(')').next().unwrap()).collect();
    assert!(links.len() > 2);
    for link in links {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(link);
        assert!(path.exists(), "{link}");
    }
}

#[test]
fn readme_shows_this_example() {
    let readme = include_str!("../README.md");
    let block = readme.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(include_str!("readme.rs").contains(block), "{block}");
    assert!(example().is_err(), "there is no model.occ here");
}
