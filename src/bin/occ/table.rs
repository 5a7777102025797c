//! Tables, as plain text and as data for HTML.

/// Alignment of a column.
#[derive(Clone, Copy, PartialEq)]
pub enum Align {
    Left,
    Right,
}

/// Rows of cells under column titles.
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
    /// Numbers of the rows that have a horizontal line above them.
    rules: Vec<usize>,
}

/// Width of the first column at least, unless its cells are narrower.
const MIN_NAME_WIDTH: usize = 16;

/// Between columns.
const GAP: &str = "  ";

impl Table {
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), rules: vec![0] }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.cells(cells.into());
    }

    /// Adds a row with a cell per column.
    pub fn cells(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Adds a horizontal line below the last row.
    pub fn rule(&mut self) {
        self.rules.push(self.rows.len());
    }

    /// Titles and alignments.
    pub fn columns(&self) -> &[(&'static str, Align)] {
        &self.columns
    }

    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Plain text for the terminal: names in the first column are shortened if it is too narrow.
    pub fn render(&self) -> String {
        let size = terminal_size::terminal_size_of(std::io::stdout());
        self.render_within(size.map_or(usize::MAX, |(width, _)| width.0.into()))
    }

    /// Plain text of any width, for a file.
    pub fn render_unlimited(&self) -> String {
        self.render_within(usize::MAX)
    }

    fn render_within(&self, width: usize) -> String {
        let titles: Vec<String> = self.columns.iter().map(|column| column.0.to_owned()).collect();
        let mut widths = vec![0; self.columns.len()];
        for row in std::iter::once(&titles).chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let total = |widths: &[usize]| {
            widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)
        };
        let excess = total(&widths).saturating_sub(width);
        if let Some(names) = widths.first_mut() {
            *names = names.saturating_sub(excess).max(MIN_NAME_WIDTH.min(*names));
        }
        let rule = "─".repeat(total(&widths)) + "\n";
        let mut text = self.line(&titles, &widths);
        for (number, row) in self.rows.iter().enumerate() {
            if self.rules.contains(&number) {
                text.push_str(&rule);
            }
            text.push_str(&self.line(row, &widths));
        }
        if self.rules.contains(&self.rows.len()) {
            text.push_str(&rule);
        }
        text
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
        let line = cells.collect::<Vec<_>>().join(GAP);
        line.trim_end().to_owned() + "\n"
    }
}

/// Removes the start of a text that is too long: names of tensors differ at their ends.
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
    fn names_are_shortened_to_the_width_of_the_terminal() {
        let mut table = Table::new(&[("name", Align::Left), ("n", Align::Right)]);
        table.row(["é".into(), "10".into()]);
        assert_eq!(table.render_within(80), "name   n\n────────\né     10\n");
        table.rule();
        table.row(["model.layers.0.self_attn.q_proj.weight".into(), "5".into()]);
        let narrow = table.render_within(24);
        assert!(narrow.contains("_attn.q_proj.weight"), "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 24), "{narrow}");
        assert_eq!(narrow.lines().filter(|line| line.starts_with('─')).count(), 2, "{narrow}");
    }
}
