//! Sizes and errors of lossy compression, with and without statistics.

use super::{compress, verify};
use crate::failure::Failure;
use crate::numbers::{Bytes, bits_per_weight, ratio};
use crate::progress::Progress;
use crate::table::{Align, Table};
use crate::timing::timed;
use occ::convert::Checkpoint;
use occ::{Calibration, CompareOptions, Encoding, Plan};
use std::path::Path;
use std::sync::Arc;

/// Bit budgets, in bits per weight.
const BUDGETS: [f64; 3] = [4.0, 3.0, 2.0];

const NOTE: &str = "
SNR dB is that of the weights, outputs dB that of the outputs for the inputs of the statistics. With
statistics, the encoder chooses errors of weights that cancel in the outputs.
";

/// Size and error for each bit budget, without and with statistics.
pub fn table(
    checkpoint: &Checkpoint,
    model: &Path,
    statistics: Option<&Path>,
    folder: &Path,
) -> Result<String, Failure> {
    let mut columns = vec![("option", Align::Left)];
    columns.extend(statistics.map(|_| ("statistics", Align::Left)));
    columns.extend(["bits/weight", ".occ", "ratio", "SNR dB"].map(|title| (title, Align::Right)));
    columns.extend(statistics.map(|_| ("outputs dB", Align::Right)));
    columns.push(("seconds", Align::Right));
    let mut table = Table::new(&columns);
    let calibration = match statistics {
        Some(path) => Some(Arc::new(Calibration::open([path])?)),
        None => None,
    };
    let options = std::iter::once(None).chain(calibration.iter().map(Some));
    for bits in BUDGETS {
        for calibration in options.clone() {
            let mut encoding = Encoding::bits(bits);
            if let Some(calibration) = calibration {
                encoding = encoding.calibration(Arc::clone(calibration));
            }
            let mut cells = vec![format!("--bits {bits}")];
            let text = if calibration.is_some() { "with" } else { "without" };
            cells.extend(statistics.map(|_| text.to_owned()));
            cells.extend(result(checkpoint, model, &encoding, statistics, folder)?);
            cells.resize(columns.len(), String::new());
            table.cells(cells);
        }
    }
    let note = if statistics.is_some() { NOTE } else { "" };
    Ok(table.render() + note)
}

/// The cells after the options.
fn result(
    checkpoint: &Checkpoint,
    model: &Path,
    encoding: &Encoding,
    statistics: Option<&Path>,
    folder: &Path,
) -> Result<Vec<String>, Failure> {
    let coded = folder.join("lossy.occ");
    let compressed = timed(|| compress(checkpoint, &coded, &plan(checkpoint, encoding)?));
    let (snr, seconds) = match compressed {
        // Lossless tensors and headers exceed the budget of a model without large matrices.
        Err(Failure::Usage(_)) => return Ok(vec!["too few".into()]),
        other => other?,
    };
    verify(&coded)?;
    let bytes = std::fs::metadata(&coded).map_err(occ::Error::from)?.len();
    let mut cells = vec![
        format!("{:.3}", bits_per_weight(bytes, checkpoint.weights())),
        Bytes(bytes).to_string(),
        format!("{:.3}", ratio(bytes, checkpoint.file_bytes())),
        snr.map_or_else(|| "lossless".into(), |snr| format!("{snr:.1}")),
    ];
    if let Some(statistics) = statistics {
        let options = CompareOptions::default().inputs(statistics);
        let outputs = occ::compare(model, &coded, &options, None)?.total.operator;
        cells.push(outputs.map_or_else(String::new, |error| format!("{:.1}", error.snr_db)));
    }
    cells.push(format!("{seconds:.2}"));
    Ok(cells)
}

fn plan(checkpoint: &Checkpoint, encoding: &Encoding) -> Result<Plan, Failure> {
    let progress = Progress::bytes("planning", Some(checkpoint.tensor_bytes()));
    Ok(checkpoint.plan(encoding, Some(&mut |bytes| progress.advance(bytes)))?)
}
