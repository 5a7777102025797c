//! `occ analyze`.

pub mod tables;
pub mod text;

use crate::args::{Analyze, is_dash};
use crate::compare::tensor_bytes;
use crate::failure::{Failure, usage};
use crate::progress::{Progress, watch_for_interrupts};
use crate::report;
use occ::analysis::{Analysis, AnalyzeOptions, analyze};

pub fn run(args: &Analyze) -> Result<(), Failure> {
    if is_dash(&args.model) {
        return usage("analyze reads tensors more than once: it cannot read a pipe");
    }
    if let Some(html) = &args.html {
        report::check(html, args.force)?;
    }
    watch_for_interrupts();
    let analysis = analysis(args)?;
    if let Some(html) = &args.html {
        report::write(html, &report::analysis(&analysis, &args.model)?)?;
    }
    if args.json {
        let json = serde_json::to_string(&analysis).map_err(std::io::Error::other);
        return crate::print(&json.map_err(occ::Error::from)?);
    }
    crate::print(&text::to_text(&analysis, args.tensor.is_some()))
}

fn analysis(args: &Analyze) -> Result<Analysis, Failure> {
    let mut options = AnalyzeOptions::default().snr_db(args.snr);
    options.tensors.clone_from(&args.tensor);
    // How much will match is not known.
    let bytes = if args.tensor.is_none() { tensor_bytes(&args.model) } else { None };
    let progress = Progress::new("analyzing", bytes);
    Ok(analyze(&args.model, &options, Some(&mut |bytes| progress.advance(bytes)))?)
}
