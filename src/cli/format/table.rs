//! Lines whose cells stand below each other, as Go's `text/tabwriter` sets them for Docker.
//!
//! Cells end with a tab. A column is a run of lines that have a cell there which ends with a tab;
//! it is as wide as its widest cell and the padding, and at least the least width. What follows
//! the last tab of a line belongs to no column. So a template's lines may differ in shape, and
//! each block is set for itself. Widths are those that a terminal shows, not counts of characters.

use unicode_width::UnicodeWidthStr;

/// The space between columns.
const PADDING: usize = 3;

/// Docker's least width of a column.
pub const LEAST_WIDTH: usize = 10;

/// Sets tab-separated lines in columns, each at least `least` wide with its padding.
pub fn align(text: &str, least: usize) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|_| Vec::new()).collect();
    set(&lines, &mut widths, 0..lines.len(), 0, least);
    let mut out = String::with_capacity(text.len() * 2);
    for (line, widths) in lines.iter().zip(&widths) {
        for (position, cell) in line.iter().enumerate() {
            out.push_str(cell);
            if let Some(width) = widths.get(position) {
                let gap = width.saturating_sub(cell.width());
                out.extend(std::iter::repeat_n(' ', gap));
            }
        }
        out.push('\n');
    }
    out
}

/// Finds the widths of `column` and those right of it, for each block within `range`.
fn set(
    lines: &[Vec<&str>],
    widths: &mut [Vec<usize>],
    range: std::ops::Range<usize>,
    column: usize,
    least: usize,
) {
    // Whether a line has a cell in the column that a tab ends.
    let ends = |line: usize| lines.get(line).is_some_and(|cells| column + 1 < cells.len());
    let mut line = range.start;
    while line < range.end {
        if !ends(line) {
            line += 1;
            continue;
        }
        let end = (line..range.end).find(|line| !ends(*line)).unwrap_or(range.end);
        let cells = lines.get(line..end).unwrap_or_default();
        let widest = cells.iter().filter_map(|cells| cells.get(column)).map(|cell| cell.width());
        let width = widest.max().map_or(least, |widest| least.max(widest + PADDING));
        for row in widths.get_mut(line..end).unwrap_or_default() {
            row.push(width);
        }
        set(lines, widths, line..end, column + 1, least);
        line = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = "REPOSITORY\tTAG\tSIZE\na\tlatest-and-long\t1kB\n日本\tx\t2kB\n";
        let set = align(text, 10);
        assert_eq!(
            set,
            "REPOSITORY   TAG               SIZE\n\
             a            latest-and-long   1kB\n\
             日本         x                 2kB\n"
        );
    }

    #[test]
    fn blocks_are_set_for_themselves() {
        let set = align("a\tb\nlong cell here\tb\nno tab\nx\ty\n", 4);
        assert_eq!(set, "a                b\nlong cell here   b\nno tab\nx   y\n");
        assert_eq!(align("", 4), "");
        assert_eq!(align("a\t\tb\n", 4), "a       b\n");
    }
}
