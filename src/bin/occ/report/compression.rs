//! The report of `occ compress --report`.

use super::glossary::{self, glossary};
use super::labels::{file_name, label};
use super::page::{self, MAX_BARS, MAX_ROWS};
use crate::charts::{Axis, BarChart, BarGroup, Chart, LineChart, Series};
use crate::inspect::{self, Contents, statistics_names, storage_name, stored_bytes};
use crate::listing::{ListedTensor, each, tensor_table};
use crate::numbers::{Bytes, DECIBELS_PER_BIT, bits_per_weight, grouped, ratio};
use crate::table::{Align, Table};
use maud::{Markup, html};
use occ::{Attachment, Coding, Coordinates, Reader, Result, Tensor};
use std::cmp::Reverse;
use std::path::Path;

/// Rows of the table of the worst tensors.
const WORST: usize = 10;

/// A finished compression, with what the file does not contain.
pub struct Compression<'a> {
    pub input: &'a Path,
    pub output: &'a Path,
    pub input_bytes: u64,
    /// The requested bit rate or error, in words.
    pub target: String,
    /// SNR over all lossy tensors; `None` if all are lossless.
    pub snr_db: Option<f64>,
}

/// The report of a compression as an HTML page. Reads the finished file.
pub fn compression(done: &Compression<'_>) -> Result<String> {
    let file = Reader::open(done.output)?;
    let contents = Contents::read(&file, None)?;
    let tensors = contents.tensors();
    let coded: Vec<_> = tensors.iter().map(StoredTensor::new).collect();
    let lossy = contents.is_lossy();
    let title = format!("Compression of {}", file_name(done.input));
    let body = html! {
        (sizes(done, &contents, &coded))
        (storage(&coded))
        (statistics(&contents, &coded))
        (rates(&coded))
        (worst(&contents, &coded))
        (by_tensor(&coded, lossy))
        (all(&coded))
        (glossary(glossary::COMPRESSION))
    };
    Ok(page::page(&title, &summary(done, &contents), &body))
}

/// A tensor and its size and error in the file.
struct StoredTensor<'t, 'f> {
    stored: &'t inspect::StoredTensor<'f>,
    tensor: &'t Tensor<'f>,
    coding: Option<&'t Coding>,
    bytes: u64,
}

impl<'t, 'f> StoredTensor<'t, 'f> {
    fn new(stored: &'t inspect::StoredTensor<'f>) -> Self {
        let (tensor, coding) = (&stored.tensor, stored.coding.as_ref());
        Self { stored, tensor, coding, bytes: stored_bytes(tensor) }
    }

    fn bits(&self) -> f64 {
        bits_per_weight(self.bytes, self.tensor.elements())
    }

    fn snr_db(&self) -> Option<f64> {
        self.coding?.snr_db()
    }
}

/// The table of `occ inspect`.
fn stored_table(coded: &[&StoredTensor<'_, '_>]) -> Table {
    let listed: Vec<ListedTensor<'_>> = coded.iter().map(|one| one.stored.listed()).collect();
    tensor_table(&each(&listed), &[], "coded")
}

fn summary(done: &Compression<'_>, contents: &Contents<'_>) -> String {
    let file_bytes = contents.file.file_bytes();
    let snr = done.snr_db.map_or_else(
        || "all tensors are lossless".to_owned(),
        |snr| format!("SNR {snr:.2} dB over all lossy tensors"),
    );
    format!(
        "{} to {}, {}: {} → {}, ratio {:.4}, {:.3} bits per weight; {snr}.",
        file_name(done.input),
        file_name(done.output),
        done.target,
        Bytes(done.input_bytes),
        Bytes(file_bytes),
        ratio(file_bytes, done.input_bytes),
        bits_per_weight(file_bytes, contents.weights()),
    )
}

/// Sizes of the parts of the file.
fn sizes(
    done: &Compression<'_>,
    contents: &Contents<'_>,
    coded: &[StoredTensor<'_, '_>],
) -> Markup {
    let mut table = Table::new(&[
        ("part", Align::Left),
        ("tensors", Align::Right),
        ("weights", Align::Right),
        ("original", Align::Right),
        ("compressed", Align::Right),
        ("ratio", Align::Right),
        ("bits/weight", Align::Right),
    ]);
    let line = |part: &str, tensors: usize, weights: u64, before: u64, after: u64| {
        [
            part.into(),
            grouped(tensors as u64),
            grouped(weights),
            grouped(before),
            grouped(after),
            format!("{:.4}", ratio(after, before)),
            format!("{:.3}", bits_per_weight(after, weights)),
        ]
    };
    let file_bytes = contents.file.file_bytes();
    let mut rest = file_bytes;
    for (part, lossy) in [("lossy tensors", true), ("lossless tensors", false)] {
        let members = || coded.iter().filter(|tensor| tensor.coding.is_some() == lossy);
        let sum = |size: fn(&StoredTensor<'_, '_>) -> u64| members().map(size).sum::<u64>();
        let weights = sum(|tensor| tensor.tensor.elements());
        let (before, after) = (sum(|tensor| tensor.tensor.decoded_bytes()), sum(|t| t.bytes));
        rest = rest.saturating_sub(after);
        if members().next().is_some() {
            table.row(line(part, members().count(), weights, before, after));
        }
    }
    let attachments = &contents.attachments;
    let before = attachments.iter().map(Attachment::decoded_bytes).sum();
    let after = attachments.iter().map(Attachment::coded_bytes).sum();
    let other = |part: &str, before: String, after: u64| {
        let empty = String::new;
        [part.into(), empty(), empty(), before, grouped(after), empty(), empty()]
    };
    table.row(other("headers and files of the original", grouped(before), after));
    table.row(other("frames and index", String::new(), rest.saturating_sub(after)));
    table.row(line("total", coded.len(), contents.weights(), done.input_bytes, file_bytes));
    page::section("Sizes in bytes", &page::table(&table))
}

/// How tensors are stored.
fn storage(coded: &[StoredTensor<'_, '_>]) -> Markup {
    let table =
        grouped_table(coded, "stored as", |tensor| storage_name(tensor.tensor, tensor.coding));
    page::section("Coordinates and codecs", &page::table(&table))
}

/// The statistics that lossy tensors were coded with.
fn statistics(contents: &Contents<'_>, coded: &[StoredTensor<'_, '_>]) -> Markup {
    if !contents.is_calibrated() {
        return html! {};
    }
    let lossy = coded.iter().filter(|tensor| tensor.coding.is_some());
    let table = grouped_table(lossy, "statistics", |tensor| statistics_names(tensor.coding));
    page::section("Statistics of inputs and outputs", &page::table(&table))
}

/// A row for all tensors with the same name, in descending order of bytes.
fn grouped_table<'c, 't: 'c, 'f: 't>(
    coded: impl IntoIterator<Item = &'c StoredTensor<'t, 'f>>,
    title: &'static str,
    name: impl Fn(&StoredTensor<'t, 'f>) -> String,
) -> Table {
    struct Group {
        name: String,
        tensors: u64,
        weights: u64,
        bytes: u64,
    }
    let mut groups: Vec<Group> = Vec::new();
    for tensor in coded {
        let name = name(tensor);
        let at = groups.iter().position(|group| group.name == name).unwrap_or(groups.len());
        if at == groups.len() {
            groups.push(Group { name, tensors: 0, weights: 0, bytes: 0 });
        }
        groups[at].tensors += 1;
        groups[at].weights += tensor.tensor.elements();
        groups[at].bytes += tensor.bytes;
    }
    groups.sort_by_key(|group| Reverse(group.bytes));
    let mut table = Table::new(&[
        (title, Align::Left),
        ("tensors", Align::Right),
        ("weights", Align::Right),
        ("bytes", Align::Right),
        ("bits/weight", Align::Right),
    ]);
    for Group { name, tensors, weights, bytes } in groups {
        let bits = format!("{:.3}", bits_per_weight(bytes, weights));
        table.row([name, grouped(tensors), grouped(weights), grouped(bytes), bits]);
    }
    table
}

/// Rate and SNR of each lossy tensor.
fn rates(coded: &[StoredTensor<'_, '_>]) -> Markup {
    let most = coded.iter().filter_map(StoredTensor::snr_db).fold(0.0, f64::max);
    if most == 0.0 {
        return html! {};
    }
    let mut series = Vec::new();
    let coded_systems = Coordinates::ALL.into_iter().filter(|system| system.is_coded());
    for (colour, system) in coded_systems.enumerate() {
        let is_here = |coding: &Coding| coding.transform.coordinates == system;
        let here = coded.iter().filter(|tensor| tensor.coding.is_some_and(is_here));
        let dots: Vec<_> = here.filter_map(|t| Some((t.bits(), t.snr_db()?))).collect();
        if !dots.is_empty() {
            series.push(Series::new(system.name(), dots).only_dots().coloured(colour));
        }
    }
    let bound = vec![(0.0, 0.0), (most / DECIBELS_PER_BIT, most)];
    series.push(Series::new("Gaussian bound", bound).reference());
    let chart = LineChart {
        title: "Rate and SNR of each lossy tensor".into(),
        x: Axis::linear("bits per weight"),
        y: Axis::linear("SNR, dB"),
        series,
    };
    page::section("Rate and distortion", &page::charts(&[chart.draw()]))
}

/// The tensors with the lowest SNR or, if all are lossless, with the highest ratio.
fn worst(contents: &Contents<'_>, coded: &[StoredTensor<'_, '_>]) -> Markup {
    let mut order: Vec<&StoredTensor<'_, '_>> = coded.iter().collect();
    let title = if contents.is_lossy() {
        order.retain(|tensor| tensor.snr_db().is_some());
        order.sort_by(|a, b| a.snr_db().unwrap_or(0.0).total_cmp(&b.snr_db().unwrap_or(0.0)));
        format!("The {} tensors with the lowest SNR", WORST.min(order.len()))
    } else {
        let ratio =
            |tensor: &StoredTensor<'_, '_>| ratio(tensor.bytes, tensor.tensor.decoded_bytes());
        order.sort_by(|a, b| ratio(b).total_cmp(&ratio(a)));
        format!("The {} tensors with the highest ratio", WORST.min(order.len()))
    };
    if order.is_empty() {
        return html! {};
    }
    order.truncate(WORST);
    page::section(&title, &page::table(&stored_table(&order)))
}

/// Rate and SNR of the largest tensors.
fn by_tensor(coded: &[StoredTensor<'_, '_>], lossy: bool) -> Markup {
    let mut largest: Vec<&StoredTensor<'_, '_>> = coded.iter().collect();
    largest.retain(|tensor| tensor.coding.is_some() == lossy);
    largest.sort_by_key(|tensor| Reverse(tensor.bytes));
    let title = match largest.len() {
        0 => return html! {},
        count if count > MAX_BARS => format!("The {MAX_BARS} largest tensors"),
        _ if lossy => "All lossy tensors".to_owned(),
        _ => "All tensors".to_owned(),
    };
    largest.truncate(MAX_BARS);
    let bits = Axis::linear("bits per weight");
    let bits = bars("Rate", bits, &largest, |bits| format!("{bits:.3}"), |t| Some(t.bits()));
    let mut charts = vec![bits];
    if lossy {
        let snr = Axis::linear("dB");
        charts.push(bars("SNR", snr, &largest, |s| format!("{s:.2}"), StoredTensor::snr_db));
    }
    page::section(&title, &page::charts(&charts))
}

/// A bar per tensor that has a value.
fn bars<'t, 'f>(
    title: &str,
    x: Axis,
    tensors: &[&StoredTensor<'t, 'f>],
    format: fn(f64) -> String,
    value: impl Fn(&StoredTensor<'t, 'f>) -> Option<f64>,
) -> Chart {
    let bar = |tensor: &&StoredTensor<'t, 'f>| {
        Some(BarGroup { label: label(tensor.tensor.name()), values: vec![value(tensor)?] })
    };
    let chart = BarChart {
        title: title.into(),
        x,
        series: vec![title.into()],
        groups: tensors.iter().filter_map(bar).collect(),
        reference: None,
        format,
    };
    chart.draw()
}

fn all(coded: &[StoredTensor<'_, '_>]) -> Markup {
    let rest = coded.len().saturating_sub(MAX_ROWS);
    let title = match rest {
        0 => "All tensors".to_owned(),
        _ => format!("The first {MAX_ROWS} tensors"),
    };
    let first: Vec<&StoredTensor<'_, '_>> = coded.iter().take(MAX_ROWS).collect();
    let rows = stored_table(&first);
    page::listing(&title, &rows, rest, "occ inspect --all lists them all")
}
