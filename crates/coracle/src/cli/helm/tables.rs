//! Tables in the layout of Helm's. It knows no contents.

/// Columns parted by tabs, padded with spaces; cells longer than `width` are cut.
pub(super) fn table(rows: &[Vec<String>], width: usize) -> String {
    let cut = |cell: &str| {
        if cell.chars().count() <= width {
            return cell.to_owned();
        }
        let kept: String = cell.chars().take(width.saturating_sub(3)).collect();
        format!("{kept}...")
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| cut(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            cells.join("\t")
        })
        .collect();
    lines.join("\n")
}
