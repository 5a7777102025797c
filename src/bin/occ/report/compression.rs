//! The page of `occ compress`.

use super::glossary::{self, glossary};
use super::page::{self, LISTED};
use super::{file_name, label};
use crate::charts::{Axis, Bar, Bars, Lines, Picture, Series};
use crate::inspect::{self, stored_bytes};
use crate::numbers::{Bytes, DECIBELS_A_BIT, bits_per_weight, grouped, ratio};
use crate::table::{Align, Table};
use maud::{Markup, html};
use occ::{Attachment, Coding, Reader, Result, Tensor};
use std::cmp::Reverse;
use std::path::Path;

/// Tensors of the table of those that fared worst.
const WORST: usize = 10;

/// Bars in a picture.
const BARS: usize = 40;

/// What was compressed, and what of it is not in the file.
pub struct Compression<'a> {
    pub input: &'a Path,
    pub output: &'a Path,
    pub input_bytes: u64,
    /// What was to be reached.
    pub aim: String,
    /// Over all that lost something; `None` if nothing did.
    pub snr_db: Option<f64>,
}

/// A page of its own about a file that is finished.
///
/// # Errors
/// What reading the file says.
pub fn compression(done: &Compression<'_>) -> Result<String> {
    let file = Reader::open(done.output)?;
    let tensors = file.tensors().collect::<Result<Vec<_>>>()?;
    let coded = tensors.iter().map(Coded::of).collect::<Result<Vec<_>>>()?;
    let title = format!("{}, compressed", file_name(done.output));
    let body = html! {
        (sizes(done, &file, &coded)?)
        (choices(&coded))
        (rates(&coded)?)
        (worst(&coded))
        (by_tensor(&coded)?)
        (all(&coded))
        (glossary(glossary::COMPRESSION))
    };
    Ok(page::page(&title, &summary(done, &file, &coded), &body))
}

/// A tensor, and how it lies in the file.
struct Coded<'t, 'f> {
    tensor: &'t Tensor<'f>,
    coding: Option<Coding>,
    bytes: u64,
}

impl<'t, 'f> Coded<'t, 'f> {
    fn of(tensor: &'t Tensor<'f>) -> Result<Self> {
        Ok(Self { tensor, coding: tensor.coding()?, bytes: stored_bytes(tensor) })
    }

    fn bits(&self) -> f64 {
        bits_per_weight(self.bytes, self.tensor.elements())
    }

    fn snr_db(&self) -> Option<f64> {
        self.coding.as_ref()?.snr_db()
    }
}

fn is_lossy(coded: &[Coded<'_, '_>]) -> bool {
    coded.iter().any(|tensor| tensor.coding.is_some())
}

/// The rows of `occ inspect`.
fn table<'c, 't: 'c, 'f: 't>(
    coded: impl IntoIterator<Item = &'c Coded<'t, 'f>>,
    lossy: bool,
) -> Table {
    let rows = coded.into_iter().map(|tensor| (tensor.tensor, tensor.coding.as_ref()));
    inspect::table(rows, lossy)
}

fn summary(done: &Compression<'_>, file: &Reader<'_>, coded: &[Coded<'_, '_>]) -> String {
    let weights = coded.iter().map(|tensor| tensor.tensor.elements()).sum();
    let snr = done.snr_db.map_or_else(
        || "nothing is lost".to_owned(),
        |snr| format!("signal to noise {snr:.2} dB over all that lost something"),
    );
    format!(
        "From {}, {}: {} → {}, ratio {:.4}, {:.3} bits a weight; {snr}.",
        file_name(done.input),
        done.aim,
        Bytes(done.input_bytes),
        Bytes(file.file_bytes()),
        ratio(file.file_bytes(), done.input_bytes),
        bits_per_weight(file.file_bytes(), weights),
    )
}

/// Where the bytes are.
fn sizes(done: &Compression<'_>, file: &Reader<'_>, coded: &[Coded<'_, '_>]) -> Result<Markup> {
    let mut table = Table::new(&[
        ("part", Align::Left),
        ("tensors", Align::Right),
        ("weights", Align::Right),
        ("before", Align::Right),
        ("after", Align::Right),
        ("ratio", Align::Right),
        ("b/w", Align::Right),
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
    let mut rest = file.file_bytes();
    for (part, lossy) in [("with loss", true), ("exact", false)] {
        let members = || coded.iter().filter(|tensor| tensor.coding.is_some() == lossy);
        let sum = |size: fn(&Coded<'_, '_>) -> u64| members().map(size).sum::<u64>();
        let weights = sum(|tensor| tensor.tensor.elements());
        let (before, after) = (sum(|tensor| tensor.tensor.decoded_bytes()), sum(|t| t.bytes));
        rest = rest.saturating_sub(after);
        if members().next().is_some() {
            table.row(line(part, members().count(), weights, before, after));
        }
    }
    let attachments = file.attachments().collect::<Result<Vec<_>>>()?;
    let before = attachments.iter().map(Attachment::decoded_bytes).sum();
    let after = attachments.iter().map(Attachment::coded_bytes).sum();
    let other = |part: &str, before: String, after: u64| {
        let empty = String::new;
        [part.into(), empty(), empty(), before, grouped(after), empty(), empty()]
    };
    table.row(other("headers of the original", grouped(before), after));
    table.row(other("frames and index", String::new(), rest.saturating_sub(after)));
    let weights = coded.iter().map(|tensor| tensor.tensor.elements()).sum();
    table.row(line("all", coded.len(), weights, done.input_bytes, file.file_bytes()));
    Ok(page::section("Sizes in bytes", &page::table(&table)))
}

/// How tensors were coded, the way that most bytes went first.
fn choices(coded: &[Coded<'_, '_>]) -> Markup {
    struct Choice {
        how: String,
        tensors: u64,
        weights: u64,
        bytes: u64,
    }
    let mut choices: Vec<Choice> = Vec::new();
    for tensor in coded {
        let how = inspect::how(tensor.tensor, tensor.coding.as_ref());
        let at = choices.iter().position(|choice| choice.how == how).unwrap_or(choices.len());
        if at == choices.len() {
            choices.push(Choice { how, tensors: 0, weights: 0, bytes: 0 });
        }
        choices[at].tensors += 1;
        choices[at].weights += tensor.tensor.elements();
        choices[at].bytes += tensor.bytes;
    }
    choices.sort_by_key(|choice| Reverse(choice.bytes));
    let mut table = Table::new(&[
        ("stored", Align::Left),
        ("tensors", Align::Right),
        ("weights", Align::Right),
        ("bytes", Align::Right),
        ("b/w", Align::Right),
    ]);
    for Choice { how, tensors, weights, bytes } in choices {
        let bits = format!("{:.3}", bits_per_weight(bytes, weights));
        table.row([how, grouped(tensors), grouped(weights), grouped(bytes), bits]);
    }
    page::section("Choices", &page::table(&table))
}

/// Every tensor with loss as a dot.
fn rates(coded: &[Coded<'_, '_>]) -> Result<Markup> {
    let most = coded.iter().filter_map(Coded::snr_db).fold(0.0, f64::max);
    if most == 0.0 {
        return Ok(html! {});
    }
    let mut series = Vec::new();
    for (colour, name) in ["identity", "hadamard", "aligned"].into_iter().enumerate() {
        let is_here = |coding: &Coding| coding.transform.coordinates.name() == name;
        let here = coded.iter().filter(|tensor| tensor.coding.as_ref().is_some_and(is_here));
        let dots: Vec<_> = here.filter_map(|t| Some((t.bits(), t.snr_db()?))).collect();
        if !dots.is_empty() {
            series.push(Series::new(name, dots).dots().coloured(colour));
        }
    }
    let bound = vec![(0.0, 0.0), (most / DECIBELS_A_BIT, most)];
    series.push(Series::new("Gaussian bound", bound).reference());
    let lines = Lines {
        title: "Each tensor: bits, and signal to noise".into(),
        x: Axis::linear("bits a weight"),
        y: Axis::linear("signal to noise, dB"),
        series,
    };
    Ok(page::section("Rate and distortion", &page::figures(&[lines.draw()?])))
}

/// Those with the lowest signal to noise; where nothing is lost, those that hardly became smaller.
fn worst(coded: &[Coded<'_, '_>]) -> Markup {
    let lossy = is_lossy(coded);
    let mut order: Vec<&Coded<'_, '_>> = coded.iter().collect();
    let title = if lossy {
        order.retain(|tensor| tensor.snr_db().is_some());
        order.sort_by(|a, b| a.snr_db().unwrap_or(0.0).total_cmp(&b.snr_db().unwrap_or(0.0)));
        format!("The {} tensors with the lowest signal to noise", WORST.min(order.len()))
    } else {
        let ratio = |tensor: &Coded<'_, '_>| ratio(tensor.bytes, tensor.tensor.decoded_bytes());
        order.sort_by(|a, b| ratio(b).total_cmp(&ratio(a)));
        format!("The {} tensors that hardly became smaller", WORST.min(order.len()))
    };
    if order.is_empty() {
        return html! {};
    }
    page::section(&title, &page::table(&table(order.into_iter().take(WORST), lossy)))
}

/// Bits and signal to noise of the largest tensors.
fn by_tensor(coded: &[Coded<'_, '_>]) -> Result<Markup> {
    let lossy = is_lossy(coded);
    let mut largest: Vec<&Coded<'_, '_>> = coded.iter().collect();
    largest.retain(|tensor| tensor.coding.is_some() == lossy);
    largest.sort_by_key(|tensor| Reverse(tensor.bytes));
    let title = match largest.len() {
        0 => return Ok(html! {}),
        count if count > BARS => format!("The {BARS} tensors that take most bytes"),
        _ if lossy => "All tensors with loss".to_owned(),
        _ => "All tensors".to_owned(),
    };
    largest.truncate(BARS);
    let bits = Axis::linear("bits a weight");
    let bits = bars("Bits", bits, &largest, |bits| format!("{bits:.3}"), |t| Some(t.bits()))?;
    let mut pictures = vec![bits];
    if lossy {
        let snr = Axis::linear("dB");
        let snr = bars("Signal to noise", snr, &largest, |s| format!("{s:.2}"), Coded::snr_db)?;
        pictures.push(snr);
    }
    Ok(page::section(&title, &page::figures(&pictures)))
}

/// A bar for each tensor that has a value.
fn bars<'t, 'f>(
    title: &str,
    x: Axis,
    tensors: &[&Coded<'t, 'f>],
    format: fn(f64) -> String,
    value: impl Fn(&Coded<'t, 'f>) -> Option<f64>,
) -> Result<Picture> {
    let bar = |tensor: &&Coded<'t, 'f>| {
        Some(Bar { label: label(tensor.tensor.name()), values: vec![value(tensor)?] })
    };
    let bars = Bars {
        title: title.into(),
        x,
        series: vec![title.into()],
        groups: tensors.iter().filter_map(bar).collect(),
        reference: None,
        format,
    };
    bars.draw()
}

fn all(coded: &[Coded<'_, '_>]) -> Markup {
    let rest = coded.len().saturating_sub(LISTED);
    let title = match rest {
        0 => "The whole list".to_owned(),
        _ => format!("The first {LISTED} tensors"),
    };
    let lines = table(coded.iter().take(LISTED), is_lossy(coded));
    page::listing(&title, &lines, rest, "occ inspect lists them all")
}
