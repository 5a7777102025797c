//! The lossless path, end to end in memory: `cargo bench`.

fn main() {
    divan::main();
}
