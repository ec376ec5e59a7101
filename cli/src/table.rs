//! Tables for people, as docker prints them: columns as wide as their widest cell, three blanks between.
use std::io::Write as _;
use tabwriter::TabWriter;

/// Blanks between two columns.
const BETWEEN: usize = 3;
/// What a column is wide at least, those blanks not counted.
const NARROWEST: usize = 7;

/// A table: a line of headings, and lines of cells.
#[derive(Debug)]
pub(crate) struct Table {
    lines: String,
}

impl Table {
    /// A table with no lines yet.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { lines: headings.join("\t") + "\n" }
    }

    /// Adds a line. What would break the table, or the terminal (any control character), is shown as a blank.
    pub(crate) fn row(&mut self, cells: &[&str]) {
        let clean: Vec<_> = cells.iter().map(|cell| cell.replace(char::is_control, " ")).collect();
        self.lines += &clean.join("\t");
        self.lines.push('\n');
    }

    /// The table as text.
    pub(crate) fn text(self) -> String {
        let mut writer = TabWriter::new(Vec::new()).minwidth(NARROWEST).padding(BETWEEN);
        // Into memory: nothing here can fail.
        let _cannot_fail = writer.write_all(self.lines.as_bytes()).and_then(|()| writer.flush());
        let text = writer.into_inner().unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_ten_at_least() {
        let mut table = Table::new(&["ID", "NAME", "SCOPE"]);
        table.row(&["1", "a-long-name", "local"]);
        table.row(&["2", "with\ttab\x1b[2J\u{9b}K", ""]);
        let expected = [
            "ID        NAME             SCOPE", //
            "1         a-long-name      local",
            "2         with tab [2J K",
        ];
        assert_eq!(table.text().lines().collect::<Vec<_>>(), expected);
    }
}
