//! `occ verify`.

use crate::args::{Verify, is_dash, piped_input};
use crate::failure::{Failure, in_file};
use crate::numbers::{Bytes, counted};
use crate::progress::Progress;
use occ::{VerifyOptions, VerifyReport};
use serde_json::json;
use std::fs::File;

pub fn run(args: &Verify) -> Result<(), Failure> {
    let options = VerifyOptions::default().deep(args.deep);
    let report = if is_dash(&args.file) {
        let progress = Progress::new("verifying", None);
        occ::verify(progress.follow(piped_input()?), options)?
    } else {
        let verify = || {
            let file = File::open(&args.file)?;
            let progress = Progress::new("verifying", Some(file.metadata()?.len()));
            occ::verify(progress.follow(file), options)
        };
        verify().map_err(|error| match error {
            occ::Error::Io { path: None, source } => in_file(&args.file, source),
            other => other,
        })?
    };
    crate::print(&if args.json {
        to_json(&report, args.deep)
    } else {
        to_text(&report, args.deep)
    })?;
    if report.problems.is_empty() { Ok(()) } else { Err(Failure::Told) }
}

fn to_json(report: &VerifyReport, deep: bool) -> String {
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    json!({
        "ok": problems.is_empty(),
        "deep": deep,
        "tensors": report.tensors,
        "attachments": report.attachments,
        "chunks": report.chunks,
        "file_bytes": report.file_bytes,
        "decoded_bytes": report.decoded_bytes,
        "problems": problems,
    })
    .to_string()
}

fn to_text(report: &VerifyReport, deep: bool) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        text.push_str(&format!("{problem}\n"));
    }
    let verdict = match report.problems.len() {
        0 => "sound".to_owned(),
        count => counted(count as u64, "problem"),
    };
    text.push_str(&format!(
        "{verdict}: {}, {}, {} read",
        counted(report.tensors, "tensor"),
        counted(report.chunks, "chunk"),
        Bytes(report.file_bytes),
    ));
    if deep {
        text.push_str(&format!(", {} decoded", Bytes(report.decoded_bytes)));
    }
    text
}
