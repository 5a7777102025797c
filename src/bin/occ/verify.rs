//! `occ verify`.

use crate::failure::Failure;
use crate::input;
use crate::numbers::{Bytes, counted};
use crate::output::{print, print_json};
use crate::paths::{is_dash, piped_input};
use crate::progress::Progress;
use clap::Args;
use occ::{VerifyOptions, VerifyReport};
use serde::Serialize;
use std::path::PathBuf;

/// Check an .occ file: structure, all checksums, and that index and frames agree.
///
/// Exit code 1 if there are problems.
#[derive(Args)]
pub struct VerifyArgs {
    /// An .occ file or the URL of one, or - for standard input
    file: PathBuf,

    /// Also decode all tensors and compare the checksums of the decoded bytes
    #[arg(long)]
    deep: bool,

    /// Print JSON: ok, deep, tensors, attachments, chunks, file_bytes, decoded_bytes, problems
    #[arg(long)]
    json: bool,
}

pub fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let options = VerifyOptions::default().deep(args.deep);
    let mut report = if is_dash(&args.file) {
        let progress = Progress::bytes("verifying", None);
        occ::verify(progress.count_reads(piped_input()?), options)?
    } else {
        let (stream, length) = input::stream(&args.file)?;
        let progress = Progress::bytes("verifying", Some(length));
        let verified = occ::verify(progress.count_reads(stream), options);
        verified.map_err(|error| error.in_file(input::shown(&args.file)))?
    };
    let file =
        if is_dash(&args.file) { "standard input".as_ref() } else { input::shown(&args.file) };
    for problem in std::mem::take(&mut report.problems) {
        report.problems.push(problem.in_file(file));
    }
    if args.json {
        print_json(&VerifyJson::new(&report, args.deep))?;
    } else {
        print(&to_text(&report, args.deep))?;
    }
    if report.problems.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

#[derive(Serialize)]
struct VerifyJson {
    ok: bool,
    deep: bool,
    tensors: u64,
    attachments: u64,
    chunks: u64,
    file_bytes: u64,
    decoded_bytes: u64,
    problems: Vec<String>,
}

impl VerifyJson {
    fn new(report: &VerifyReport, deep: bool) -> Self {
        Self {
            ok: report.problems.is_empty(),
            deep,
            tensors: report.tensors,
            attachments: report.attachments,
            chunks: report.chunks,
            file_bytes: report.file_bytes,
            decoded_bytes: report.decoded_bytes,
            problems: report.problems.iter().map(ToString::to_string).collect(),
        }
    }
}

fn to_text(report: &VerifyReport, deep: bool) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        text.push_str(&format!("{problem}\n"));
    }
    let verdict = match report.problems.len() {
        0 => "valid".to_owned(),
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
