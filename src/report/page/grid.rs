//! Sections of a page, their plots and tables.

use crate::report::packed::is_number;
use crate::report::table::Table;

#[derive(Default)]
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: String,
    pub(super) lines: Vec<String>,
    pub(super) plots: Vec<Plot>,
    /// The kinds of traffic that the plots show, each with how it is filled.
    pub(super) legend: Vec<(&'static str, String)>,
    pub(super) tables: Vec<Grid>,
}

pub(super) struct Plot {
    pub(super) title: String,
    /// Drawn by the program, for several widths: it holds no foreign text.
    pub(super) drawings: Vec<(&'static str, String)>,
}

/// A table of the page.
pub(super) struct Grid {
    pub(super) caption: String,
    pub(super) head: Vec<Head>,
    pub(super) rows: Vec<Vec<Cell>>,
    pub(super) more: Option<String>,
    /// Long enough to be searched.
    pub(super) searched: bool,
    /// Its columns are as many as there are services: it scrolls in itself, and is never made a list.
    pub(super) is_matrix: bool,
}

pub(super) struct Head {
    pub(super) text: String,
    pub(super) numeric: bool,
}

#[derive(Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// The key to sort the column by, if not the text.
    pub(super) sort: Option<u64>,
    pub(super) class: &'static str,
    /// The text to search the list of connections for.
    pub(super) search: Option<String>,
    /// By what fragment it is linked.
    pub(super) anchor: Option<String>,
}

impl Cell {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), sort: amount(text), class: class(text), ..Self::default() }
    }
}

/// How a word is shown: the kinds of traffic in their colours, what needs a look in bold.
pub(super) fn class(text: &str) -> &'static str {
    match text {
        "denied" => "denied",
        "newly denied" => "newly-denied",
        "newly allowed" => "newly-allowed",
        "error" | "warning" | "unused" => "notable",
        _ => "",
    }
}

/// The value of a number with a unit, to sort by.
fn amount(text: &str) -> Option<u64> {
    if text.is_empty() || !is_number(text) {
        return None;
    }
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let factor = match unit {
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => 1,
    };
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.replace(',', "").parse().ok()?;
    Some(whole * factor + tenths.parse::<u64>().ok()? * factor / 10)
}

impl Grid {
    pub(super) fn new(Table { title, rows, more }: Table) -> Self {
        let mut rows = rows.into_iter();
        let head = rows.next().unwrap_or_default();
        let rows: Vec<Vec<Cell>> =
            rows.map(|row| row.iter().map(|text| Cell::new(text)).collect()).collect();
        let numeric = |column: usize| {
            let cells = || rows.iter().filter_map(|row: &Vec<Cell>| row.get(column));
            cells().next().is_some() && cells().all(|cell| cell.sort.is_some())
        };
        let head = head
            .into_iter()
            .enumerate()
            .map(|(column, text)| {
                // Tables for terminals have no word for it.
                let text = if text.is_empty() { "where".to_owned() } else { text };
                Head { text, numeric: numeric(column) }
            })
            .collect();
        let searched = rows.len() > 10;
        Self { caption: title, head, rows, more, searched, is_matrix: false }
    }

    /// The name of a column.
    pub(super) fn column(&self, at: usize) -> &str {
        self.head.get(at).map_or("", |head| &head.text)
    }
}
