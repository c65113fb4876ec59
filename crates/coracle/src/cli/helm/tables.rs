//! Tables in the layout of Helm's, and of those that the API makes. It knows no contents.

use serde_json::Value as Json;

/// Columns parted by tabs, padded with spaces; cells longer than `width` are cut, and those of several lines are cut to the
/// longest line of their column.
pub(super) fn table(rows: &[Vec<String>], width: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let longest = |cell: &String| cell.split('\n').map(|line| line.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().filter_map(|row| row.get(at)).map(longest).max().unwrap_or(0).min(width)).collect();
    let cut = |cell: &String, width: usize| {
        if cell.chars().count() <= width {
            return cell.clone();
        }
        let kept: String = cell.chars().take(width.saturating_sub(3)).collect();
        format!("{kept}...")
    };
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{:<width$}", cut(cell, *width))).collect();
            cells.join("\t")
        })
        .collect();
    lines.join("\n")
}

/// Objects that the API put into tables, by their kinds.
pub(super) fn of_objects(resources: &[(String, Vec<Json>)]) -> String {
    let mut text = String::new();
    let mut heading = Json::Null;
    for (kind, tables) in resources {
        text.push_str(&format!("==> {kind}\n"));
        for table in tables.iter().filter(|table| table.pointer("/rows/0").is_some()) {
            text.push_str(&of_api(table, table["columnDefinitions"] != heading));
            heading = table["columnDefinitions"].clone();
        }
        text.push('\n');
    }
    text
}

fn of_api(table: &Json, headed: bool) -> String {
    let columns = table["columnDefinitions"].as_array().map_or(&[][..], Vec::as_slice);
    let shown: Vec<usize> = (0..columns.len()).filter(|at| columns[*at]["priority"].as_i64().unwrap_or(0) == 0).collect();
    let word = |cell: &Json| match cell {
        Json::Null => "<none>".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    if headed {
        rows.push(shown.iter().map(|at| word(&columns[*at]["name"]).to_uppercase()).collect());
    }
    for row in table["rows"].as_array().into_iter().flatten() {
        rows.push(shown.iter().map(|at| word(&row["cells"][*at])).collect());
    }
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count() + 3).max().unwrap_or(0).max(6);
    let widths: Vec<usize> = (0..shown.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let width = if at + 1 == row.len() { 0 } else { widths[at] };
            line.push_str(&format!("{cell:<width$}"));
        }
        line + "\n"
    };
    rows.iter().map(line).collect()
}
