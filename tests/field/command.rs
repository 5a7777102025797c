//! The command, run in a folder of its own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A temporary folder in which commands run.
pub struct Workplace(tempfile::TempDir);

/// What a command printed, and its exit code.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Workplace {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes a file, and the folders that it is in.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// All files, with their paths in this folder, sorted.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(self.0.path(), "", &mut found);
        found.sort();
        found
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with_input(args, b"")
    }

    /// Runs with `input` on standard input.
    pub fn run_with_input(&self, args: &[&str], input: &[u8]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_occ"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let Output { status, stdout, stderr } = std::thread::scope(|scope| {
            // A command that fails early closes the pipe, which is not an error of this thread.
            scope.spawn(move || stdin.write_all(input).unwrap_or(()));
            child.wait_with_output().unwrap()
        });
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Runs a command that must succeed.
    pub fn succeed(&self, args: &[&str]) -> Run {
        self.succeed_with_input(args, b"")
    }

    pub fn succeed_with_input(&self, args: &[&str], input: &[u8]) -> Run {
        let run = self.run_with_input(args, input);
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        run
    }

    /// Runs a command that must fail with an exit code, and with a message that contains all of
    /// these texts.
    pub fn fail(&self, args: &[&str], code: i32, texts: &[&str]) {
        self.fail_with_input(args, b"", code, texts);
    }

    pub fn fail_with_input(&self, args: &[&str], input: &[u8], code: i32, texts: &[&str]) {
        let run = self.run_with_input(args, input);
        assert_eq!(run.code, code, "{args:?}: {}{}", run.stdout, run.stderr);
        for text in texts {
            assert!(run.stderr.contains(text), "{args:?}: no {text:?} in {:?}", run.stderr);
        }
    }
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => collect(&entry.path(), &format!("{name}/"), found),
            false => found.push(name),
        }
    }
}
