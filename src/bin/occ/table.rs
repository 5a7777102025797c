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
    /// Titles of columns that a narrow terminal does without, the first of them first.
    optional: &'static [&'static str],
    /// Numbers of the rows that have a horizontal line above them.
    rules: Vec<usize>,
}

/// Width of the first column at least, unless its cells are narrower.
const MIN_NAME_WIDTH: usize = 16;

/// Optional columns are left out where the first column would be narrower than this.
const NAME_WIDTH: usize = 32;

/// Between columns.
const GAP: &str = "  ";

impl Table {
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), optional: &[], rules: vec![0] }
    }

    /// Names columns that are left out where the terminal is too narrow, the first of them first.
    pub fn optional(mut self, titles: &'static [&'static str]) -> Self {
        self.optional = titles;
        self
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

    /// Plain text for the terminal. If that is too narrow, optional columns are left out, which a
    /// line below the table says, and names in the first column are shortened.
    pub fn render(&self) -> String {
        self.render_within(output_width())
    }

    /// Plain text of any width, for a file.
    pub fn render_unlimited(&self) -> String {
        self.render_within(usize::MAX)
    }

    fn render_within(&self, width: usize) -> String {
        let widths = self.widths();
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let mut left_out = Vec::new();
        let total = |shown: &[usize], names: usize| {
            let others = shown.iter().skip(1).map(|&column| GAP.len() + widths[column]);
            names + others.sum::<usize>()
        };
        let names = widths.first().copied().unwrap_or(0);
        for &title in self.optional {
            let is_titled = |&column: &usize| self.columns[column].0 == title;
            if total(&shown, names.min(NAME_WIDTH)) > width && shown.iter().any(is_titled) {
                shown.retain(|column| !is_titled(column));
                left_out.push(title);
            }
        }
        let excess = total(&shown, names).saturating_sub(width);
        let names = names.saturating_sub(excess).max(MIN_NAME_WIDTH.min(names));

        let titles: Vec<String> = self.columns.iter().map(|column| column.0.to_owned()).collect();
        let line = |cells: &[String]| {
            let cells = shown.iter().map(|&column| match (column, self.columns[column].1) {
                (0, _) => format!("{:<names$}", shortened(&cells[0], names)),
                (_, Align::Left) => format!("{:<1$}", cells[column], widths[column]),
                (_, Align::Right) => format!("{:>1$}", cells[column], widths[column]),
            });
            cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned() + "\n"
        };
        let rule = "─".repeat(total(&shown, names)) + "\n";
        let mut text = line(&titles);
        for (number, row) in self.rows.iter().enumerate() {
            if self.rules.contains(&number) {
                text.push_str(&rule);
            }
            text.push_str(&line(row));
        }
        if self.rules.contains(&self.rows.len()) {
            text.push_str(&rule);
        }
        if !left_out.is_empty() {
            text.push_str(&format!("columns without room: {}\n", left_out.join(", ")));
        }
        text
    }

    /// The width of each column.
    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> =
            self.columns.iter().map(|(title, _)| title.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        widths
    }
}

/// Columns of the terminal that standard output is; without one, no text is too wide.
pub fn output_width() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map_or(usize::MAX, |(width, _)| width.0.into())
}

/// Removes the start of a text that is too long: names of tensors differ at their ends, and numbers of
/// layers are nearer to the end than to the start.
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
        assert!(narrow.contains("…_attn.q_proj.weight   5"), "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 24), "{narrow}");
        assert_eq!(narrow.lines().filter(|line| line.starts_with('─')).count(), 2, "{narrow}");
    }

    #[test]
    fn optional_columns_are_left_out_in_their_order_where_names_need_the_room() {
        let columns = ["name", "a", "b", "c"].map(|title| (title, Align::Left));
        let mut table = Table::new(&columns).optional(&["b", "missing", "a"]);
        table.row(["n".repeat(40), "aaaa".into(), "bbbb".into(), "cccc".into()]);
        let title = |width| {
            let text = table.render_within(width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            let first = text.lines().next().unwrap().split_whitespace().collect::<String>();
            (first, text.lines().last().unwrap().to_owned())
        };
        assert_eq!(title(58).0, "nameabc");
        assert_eq!(title(50).0, "nameabc");
        assert_eq!(title(49), ("nameac".into(), "columns without room: b".into()));
        assert_eq!(title(40), ("namec".into(), "columns without room: b, a".into()));
        assert_eq!(title(30).0, "namec");
    }
}
