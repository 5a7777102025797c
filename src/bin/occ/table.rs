//! Plain-text tables and numbers for people.

pub use indicatif::DecimalBytes as Bytes;

/// How a column stands.
#[derive(Clone, Copy)]
pub enum Align {
    Left,
    Right,
}

/// Rows of cells, as wide as they need to be.
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Row>,
}

enum Row {
    Cells(Vec<String>),
    Rule,
}

impl Table {
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: vec![Row::Rule] }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.cells(cells.into());
    }

    /// A row of as many cells as there are columns.
    pub fn cells(&mut self, cells: Vec<String>) {
        self.rows.push(Row::Cells(cells));
    }

    pub fn rule(&mut self) {
        self.rows.push(Row::Rule);
    }

    /// The table's lines, the first column shortened where a terminal is too narrow.
    pub fn render(&self) -> String {
        self.render_within(terminal_width())
    }

    /// The table's lines in full, for a file.
    pub fn render_whole(&self) -> String {
        self.render_within(usize::MAX)
    }

    fn render_within(&self, width: usize) -> String {
        let titles = Row::Cells(self.columns.iter().map(|column| column.0.to_owned()).collect());
        let rows = || std::iter::once(&titles).chain(&self.rows);
        let mut widths = vec![0; self.columns.len()];
        for row in rows() {
            if let Row::Cells(cells) = row {
                for (width, cell) in widths.iter_mut().zip(cells) {
                    *width = cell.chars().count().max(*width);
                }
            }
        }
        let total = |widths: &[usize]| widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
        let excess = total(&widths).saturating_sub(width);
        widths[0] = widths[0].saturating_sub(excess).max(widths[0].min(NARROWEST));
        let mut out = String::new();
        for row in rows() {
            let line = match row {
                Row::Rule => "─".repeat(total(&widths)),
                Row::Cells(cells) => self.line(cells, &widths),
            };
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let cells = cells.iter().zip(widths).zip(&self.columns);
        let cells = cells.map(|((cell, &width), (_, align))| {
            let cell = shortened(cell, width);
            match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            }
        });
        cells.collect::<Vec<_>>().join("  ")
    }
}

/// The first column is never made narrower than this.
const NARROWEST: usize = 16;

/// Columns of the terminal on standard output; without one, as many as it takes.
fn terminal_width() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map_or(usize::MAX, |(width, _)| width.0.into())
}

/// A name without its start, where it is too long: ends tell tensors apart.
fn shortened(text: &str, width: usize) -> String {
    match text.chars().count().checked_sub(width) {
        None | Some(0) => text.to_owned(),
        Some(excess) => std::iter::once('…').chain(text.chars().skip(excess + 1)).collect(),
    }
}

/// `1 tensor`, `20 tensors`.
pub fn counted(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// 20812288 as 20,812,288.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The ratio of two byte counts; 1 when both are nothing.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Bits of `bytes` for each of `weights`.
pub fn bits_per_weight(bytes: u64, weights: u64) -> f64 {
    if weights == 0 { 0.0 } else { 8.0 * bytes as f64 / weights as f64 }
}

/// A shape as `[512, 64]`.
pub fn shape(sizes: &[usize]) -> String {
    format!("{sizes:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_tables_read_well() {
        assert_eq!(
            (grouped(7), grouped(1000), grouped(20_812_288)),
            ("7".into(), "1,000".into(), "20,812,288".into())
        );
        let mut table = Table::new(&[("name", Align::Left), ("n", Align::Right)]);
        table.row(["é".into(), "10".into()]);
        assert_eq!(table.render_within(80), "name   n\n────────\né     10\n");
        table.row(["model.layers.0.self_attn.q_proj.weight".into(), "5".into()]);
        let narrow = table.render_within(24);
        assert!(narrow.contains("_attn.q_proj.weight"), "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 24), "{narrow}");
        assert_eq!((counted(1, "x"), counted(2, "x")), ("1 x".into(), "2 xs".into()));
    }
}
