//! Tables, and how they look as plain text.

/// How a column stands.
#[derive(Clone, Copy, PartialEq)]
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

    /// Titles, and how what is below them stands.
    pub fn columns(&self) -> &[(&'static str, Align)] {
        &self.columns
    }

    /// Cells, row by row; rules are none.
    pub fn rows(&self) -> impl Iterator<Item = &[String]> {
        self.rows.iter().filter_map(|row| match row {
            Row::Cells(cells) => Some(&cells[..]),
            Row::Rule => None,
        })
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
pub fn shortened(text: &str, width: usize) -> String {
    match text.chars().count().checked_sub(width) {
        None | Some(0) => text.to_owned(),
        Some(excess) => std::iter::once('…').chain(text.chars().skip(excess + 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_as_wide_as_they_may_be() {
        let mut table = Table::new(&[("name", Align::Left), ("n", Align::Right)]);
        table.row(["é".into(), "10".into()]);
        assert_eq!(table.render_within(80), "name   n\n────────\né     10\n");
        table.row(["model.layers.0.self_attn.q_proj.weight".into(), "5".into()]);
        let narrow = table.render_within(24);
        assert!(narrow.contains("_attn.q_proj.weight"), "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 24), "{narrow}");
    }
}
