//! The command with URLs.

use crate::common::{safetensors, varied_samples};
use crate::server::{Answer, Server};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn occ(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_occ"));
    command.args(args).current_dir(folder).output().unwrap()
}

fn succeeded(output: Output) -> Vec<u8> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn failed(output: &Output, code: i32, message: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(message) && !stderr.contains("secret"), "{stderr}");
}

/// A folder with `m.safetensors` and `m.occ`, and a server of `m.occ`.
fn served() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("m.safetensors"), safetensors(&varied_samples())).unwrap();
    succeeded(occ(folder.path(), &["compress", "m.safetensors"]));
    let server = Server::new(fs::read(folder.path().join("m.occ")).unwrap());
    (folder, server)
}

#[test]
fn urls_give_what_files_give() {
    let (folder, server) = served();
    let url = format!("{}?token=secret", server.url());
    let run = |args: &[&str]| succeeded(occ(folder.path(), args));
    for options in [&["inspect"][..], &["inspect", "--json"], &["verify", "--deep", "--json"]] {
        let of = |file| run(&[options, &[file]].concat());
        assert_eq!(of(&url), of("m.occ"));
    }
    run(&["extract", &url, "zeros", "-o", "remote.npy"]);
    run(&["extract", "m.occ", "zeros", "-o", "local.npy"]);
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("remote.npy"), read("local.npy"));
    // Into the current folder, under the name in the URL.
    fs::rename(folder.path().join("m.safetensors"), folder.path().join("original")).unwrap();
    run(&["decompress", &url, "--verbose"]);
    assert_eq!(read("m.safetensors"), read("original"));
    run(&["decompress", &url, "--dtype", "f32", "-o", "remote.safetensors"]);
    run(&["decompress", "m.occ", "--dtype", "f32", "-o", "local.safetensors"]);
    assert_eq!(read("remote.safetensors"), read("local.safetensors"));
    assert!(server.requests().iter().all(|one| one.target == "/models/m.occ?token=secret"));
}

#[test]
fn failures_name_the_url_without_its_query() {
    let (folder, server) = served();
    let url = format!("{}?token=secret", server.url());
    failed(&occ(folder.path(), &["decompress", &url, "--rm"]), 2, "not URLs");
    let missing = &["extract", &url, "--attachment", "no", "-o", "x"];
    failed(&occ(folder.path(), missing), 1, &format!("{}: no attachment", server.url()));
    failed(&occ(folder.path(), &["inspect", "ftp://host/m.occ"]), 2, "scheme ftp");
    let commands: [&[&str]; 4] = [
        &["inspect", &url],
        &["verify", &url],
        &["extract", &url, "zeros", "-o", "x"],
        &["decompress", &url, "-o", "x"],
    ];
    let mut damaged = fs::read(folder.path().join("m.occ")).unwrap();
    let end = damaged.len() - 60;
    damaged[end] ^= 1;
    server.replace(damaged, None);
    for command in commands {
        let message = format!("{}: checksum mismatch", server.url());
        let output = occ(folder.path(), command);
        let text = [&output.stderr[..], &output.stdout].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(1));
        assert!(text.contains(&message) && !text.contains("secret"), "{text}");
    }
    server.answer(|_, _| Answer::Status(404, "secret"));
    for command in commands {
        let message = format!("{}: no such file on the server", server.url());
        failed(&occ(folder.path(), command), 1, &message);
    }
}
