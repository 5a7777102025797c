//! `occ verify`.

use crate::args::{Verify, is_dash};
use crate::failure::Failure;
use crate::table::{Bytes, grouped};
use occ::{VerifyOptions, VerifyReport};
use serde_json::json;
use std::fs::File;
use std::io::{IsTerminal, stdin};

pub fn run(args: &Verify) -> Result<(), Failure> {
    let options = VerifyOptions { deep: args.deep, ..VerifyOptions::default() };
    let report = if is_dash(&args.file) {
        if stdin().is_terminal() {
            return Err(Failure::Usage("standard input is a terminal, not an .occ file".into()));
        }
        occ::verify(stdin().lock(), options)?
    } else {
        let open = || occ::verify(File::open(&args.file)?, options);
        open().map_err(|error| match error {
            occ::Error::Io { path: None, source } => {
                occ::Error::Io { path: Some(args.file.clone()), source }
            }
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
        1 => "1 problem".to_owned(),
        count => format!("{} problems", grouped(count as u64)),
    };
    text.push_str(&format!(
        "{verdict}: {} tensors, {} chunks, {} read",
        grouped(report.tensors),
        grouped(report.chunks),
        Bytes(report.file_bytes),
    ));
    if deep {
        text.push_str(&format!(", {} decoded", Bytes(report.decoded_bytes)));
    }
    text
}
