//! The command `occ`, run as a process.
#![cfg(feature = "cli")]

#[path = "../common/mod.rs"]
mod common;

mod analyze;
mod bench;
mod compare;
mod convert;
mod documents;
mod extract;
mod inspect;
mod lossy;
mod report;
mod toy;

use common::{safetensors, varied_samples};
use occ::Dtype;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

struct Folder(tempfile::TempDir);

impl Folder {
    /// A folder with `m.safetensors` in it.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::write(folder.path("m.safetensors"), safetensors(&varied_samples())).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_occ"));
        command.args(args).current_dir(self.0.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs with `input` on standard input.
    fn pipe(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // A command that fails early closes the pipe, which is not an error of this thread.
            scope.spawn(move || stdin.write_all(input).unwrap_or(()));
            child.wait_with_output().unwrap()
        })
    }

    /// Compresses `l.safetensors` to `l.occ`; returns the summary.
    fn lossy(&self, options: &[&str]) -> Value {
        json(&self.run(&[&["compress", "l.safetensors", "--force", "--json"], options].concat()))
    }

    /// The tensors of `l.occ`, from `inspect --json`.
    fn tensors(&self) -> Vec<Value> {
        let report = json(&self.run(&["inspect", "l.occ", "--json"]));
        report["tensors"].as_array().unwrap().clone()
    }
}

fn succeeded(output: &Output) -> &[u8] {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    &output.stdout
}

fn failed(output: &Output, code: i32, message: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(message), "{stderr}");
}

/// A folder with an `l.safetensors` of two matrices and a vector, 24,896 weights.
fn lossy_folder() -> Folder {
    let folder = Folder::new();
    let samples = [
        common::Sample::new("a.weight", Dtype::Bf16, &[128, 96], common::bf16_weights(1, 12288)),
        common::Sample::new("a.norm", Dtype::F32, &[320], common::f32_weights(2, 320)),
        common::Sample::new("b.weight", Dtype::F16, &[96, 128], common::f16_weights(3, 12288)),
    ];
    fs::write(folder.path("l.safetensors"), safetensors(&samples)).unwrap();
    folder
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(succeeded(output)).unwrap()
}
