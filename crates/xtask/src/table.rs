//! Rows of text in columns. Knows nothing of what stands in them.

/// The rows under one another, each column as wide as its widest cell; the first is flush left, the others right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<_> =
        (0..columns).map(|at| rows.iter().filter_map(|row| row.get(at)).map(String::len).max()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            let width = width.unwrap_or(0);
            if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["mode", "messages"], ["single", "2"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(table(&rows), "mode    messages\nsingle         2");
    }
}
