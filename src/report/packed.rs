//! The rows of a table as one text, and as lines.

use crate::escape::{self, Text};

/// Rows of a table, whose cells stand in one text: a table may have as many rows as there are connections.
#[derive(Debug, Default)]
pub(super) struct Packed {
    columns: usize,
    text: String,
    /// Bytes of each cell.
    lengths: Vec<u32>,
    shapes: Vec<Shape>,
}

/// What is known of the cells of a column.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// Characters of the widest.
    width: usize,
    /// Characters of the longest word.
    word: usize,
    numeric: bool,
}

impl Packed {
    /// No rows yet, of so many columns.
    pub(super) fn new(columns: usize) -> Self {
        let shape = Shape { width: 0, word: 0, numeric: true };
        Self { columns, shapes: vec![shape; columns], ..Self::default() }
    }

    /// The first row, which does not say whether columns are numeric.
    pub(super) fn header(cells: &[impl AsRef<str>], columns: usize) -> Self {
        let mut header = Self::new(columns);
        header.row(cells);
        header.shapes.iter_mut().for_each(|shape| shape.numeric = true);
        header
    }

    /// Adds a row; cells that it lacks are empty.
    pub(super) fn row(&mut self, cells: &[impl AsRef<str>]) {
        for column in 0..self.columns {
            let cell = cells.get(column).map_or("", AsRef::as_ref);
            self.cell(|text| text.push_str(cell));
        }
    }

    /// Adds the next cell of a row.
    #[inline]
    pub(super) fn cell(&mut self, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        // As wide as what is shown.
        escape::line_from(&mut self.text, start);
        let cell = self.text.get(start..).unwrap_or_default();
        let column = self.lengths.len() % self.columns.max(1);
        if let Some(shape) = self.shapes.get_mut(column) {
            shape.width = shape.width.max(characters(cell));
            shape.numeric = shape.numeric && is_number(cell);
            // No word is longer than its cell.
            if cell.len() > shape.word {
                let word = cell.split(' ').map(characters).max();
                shape.word = shape.word.max(word.unwrap_or_default());
            }
        }
        self.lengths.push(u32::try_from(cell.len()).unwrap_or(u32::MAX));
    }
}

#[inline]
fn characters(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// How the lines of a table are made up.
#[derive(Debug)]
pub(super) struct Layout {
    columns: Vec<(usize, Side)>,
}

/// Where a cell stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Layout {
    /// Of a header and the rows under it, in so many characters a line: words of the widest columns go on in further
    /// lines, as far as that helps: no word is broken.
    pub(super) fn new<'p>(
        header: &'p Packed,
        rows: impl Iterator<Item = &'p Packed>,
        width: Option<usize>,
    ) -> Self {
        let mut shapes = header.shapes.clone();
        let mut any = false;
        for packed in rows {
            any |= !packed.lengths.is_empty();
            for (shape, of) in shapes.iter_mut().zip(&packed.shapes) {
                shape.width = shape.width.max(of.width);
                shape.word = shape.word.max(of.word);
                shape.numeric &= of.numeric;
            }
        }
        let room = width.map_or(usize::MAX, |width| width.saturating_sub(2 * shapes.len()));
        for shape in &mut shapes {
            shape.numeric &= any;
        }
        while shapes.iter().map(|shape| shape.width).sum::<usize>() > room {
            let wide = shapes.iter_mut().filter(|of| !of.numeric && of.width > of.word);
            let Some(widest) = wide.max_by_key(|of| of.width) else { break };
            widest.width -= 1;
        }
        let side = |numeric| if numeric { Side::Right } else { Side::Left };
        Self { columns: shapes.iter().map(|of| (of.width, side(of.numeric))).collect() }
    }

    /// The lines of some of the rows.
    pub(super) fn lines(&self, rows: &Packed) -> Text {
        let mut out = Text::default();
        let line = 3 + self.columns.iter().map(|(width, _)| width + 2).sum::<usize>();
        out.reserve(line * rows.lengths.len() / rows.columns.max(1));
        let mut start = 0;
        for lengths in rows.lengths.chunks(rows.columns.max(1)) {
            let cells = lengths.iter().map(|length| {
                let end = start + *length as usize;
                let cell = rows.text.get(start..end).unwrap_or_default();
                start = end;
                cell
            });
            let cells = cells.zip(&self.columns);
            let all: Vec<(&str, (usize, Side))> =
                cells.map(|(cell, column)| (cell, *column)).collect();
            match all.iter().any(|(cell, (width, _))| characters(cell) > *width) {
                false => line_of(&all, &mut out),
                true => lines_of(&all, &mut out),
            }
        }
        out
    }
}

/// A row in several lines.
fn lines_of(cells: &[(&str, (usize, Side))], out: &mut Text) {
    let broken: Vec<Vec<String>> =
        cells.iter().map(|(cell, (width, _))| broken(cell, *width)).collect();
    for n in 0..broken.iter().map(Vec::len).max().unwrap_or_default() {
        let parts = broken.iter().map(|cell| cell.get(n).map_or("", String::as_str));
        let line: Vec<_> = parts.zip(cells).map(|(part, (_, column))| (part, *column)).collect();
        line_of(&line, out);
    }
}

fn line_of(cells: &[(&str, (usize, Side))], out: &mut Text) {
    out.line_with(|line| {
        line.push_str("  ");
        let start = line.len();
        for (n, (cell, (width, side))) in cells.iter().enumerate() {
            if n > 0 {
                line.push_str("  ");
            }
            let padding = width.saturating_sub(characters(cell));
            if *side == Side::Right {
                pad(line, padding);
            }
            line.push_str(cell);
            if *side == Side::Left {
                pad(line, padding);
            }
        }
        let kept = line.get(start..).map_or(0, |shown| shown.trim_end().len());
        line.truncate(start + kept);
    });
}

fn pad(line: &mut String, padding: usize) {
    const BLANKS: &str = "                                ";
    let mut left = padding;
    while left > 0 {
        let here = BLANKS.get(..left).unwrap_or(BLANKS);
        line.push_str(here);
        left -= here.len();
    }
}

/// A cell in lines of so many characters, if its words allow it.
fn broken(text: &str, width: usize) -> Vec<String> {
    if text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let fits = |line: &String| line.chars().count() + 1 + word.chars().count() <= width;
        match lines.last_mut().filter(|line| fits(line)) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A count, or an amount with its unit; not an address.
pub(super) fn is_number(text: &str) -> bool {
    let mut dots = 0;
    let mut amount = text.bytes().take_while(|byte| *byte != b' ');
    let is_of_number = |byte: u8| {
        dots += usize::from(byte == b'.');
        byte.is_ascii_digit() || matches!(byte, b',' | b'.')
    };
    amount.all(is_of_number) && dots < 2
}
