//! Tensors of an .occ file as a table.

use super::contents::{Contents, codec_name, statistics_names, storage_name, stored_bytes};
use crate::numbers::{bits_per_weight, grouped, ratio, shape};
use crate::table::{Align, Table};
use occ::{Coding, Tensor};

/// A row for each of some tensors of a file. A file with lossy tensors has columns for bits per weight
/// and SNR, and one for statistics if some tensors were coded with them; it says why others are
/// lossless.
pub fn tensor_table<'t, 'f: 't>(
    contents: &Contents<'_>,
    tensors: impl IntoIterator<Item = (&'t Tensor<'f>, Option<&'t Coding>)>,
) -> Table {
    let (lossy, calibrated) = (contents.is_lossy(), contents.is_calibrated());
    let mut columns = vec![
        ("tensor", Align::Left),
        ("dtype", Align::Left),
        ("shape", Align::Left),
        ("stored as", Align::Left),
        ("bytes", Align::Right),
        ("coded", Align::Right),
    ];
    columns.extend(match lossy {
        false => vec![("ratio", Align::Right)],
        true => {
            vec![("bits/weight", Align::Right), ("gain", Align::Right), ("SNR dB", Align::Right)]
        }
    });
    if calibrated {
        columns.push(("statistics", Align::Left));
    }
    let mut table = Table::new(&columns);
    for (tensor, coding) in tensors {
        let (decoded, coded) = (tensor.decoded_bytes(), stored_bytes(tensor));
        let mut cells = vec![
            tensor.name().escape_debug().to_string(),
            tensor.dtype().to_string(),
            shape(tensor.shape()),
            match contents.lossless_reason(tensor) {
                Some(reason) => format!("{} ({})", codec_name(tensor), reason.description()),
                None => storage_name(tensor, coding),
            },
            grouped(decoded),
            grouped(coded),
        ];
        if lossy {
            cells.push(format!("{:.3}", bits_per_weight(coded, tensor.elements())));
            cells.extend(match coding {
                None => [String::new(), "lossless".into()],
                Some(coding) => [format!("{:.2}", coding.gain), decibels(coding)],
            });
        } else {
            cells.push(format!("{:.3}", ratio(coded, decoded)));
        }
        if calibrated {
            cells.push(statistics_names(coding));
        }
        table.cells(cells);
    }
    table
}

fn decibels(coding: &Coding) -> String {
    coding.snr_db().map_or_else(|| "∞".into(), |snr| format!("{snr:.2}"))
}
