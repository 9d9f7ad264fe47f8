//! The timeline as a picture: SVG whose colours are those of the page, so that it follows its scheme.

use std::ops::Range;

use plotters::prelude::*;

use crate::collect::{ByClass, Timeline, TrafficClass};
use crate::report::text;

/// What is drawn in a colour that only the page knows.
const TEXT: RGBColor = RGBColor(1, 1, 1);
const LINE: RGBColor = RGBColor(2, 2, 2);

fn colour(class: TrafficClass) -> RGBColor {
    RGBColor(3, 3, class as u8)
}

/// The widths that are drawn, by the class under which the page shows each, with the size of letters and the number of
/// labels: scaled to any screen, no letter is smaller than 11 pixels.
const WIDTHS: [(&str, Drawing); 3] = [
    ("narrow", Drawing { size: (340, 200), letters: 13, x_labels: 3 }),
    ("middle", Drawing { size: (700, 240), letters: 15, x_labels: 5 }),
    ("wide", Drawing { size: (1100, 240), letters: 13, x_labels: 6 }),
];

#[derive(Clone, Copy)]
struct Drawing {
    size: (u32, u32),
    letters: u32,
    x_labels: usize,
}

/// How the page fills a kind of traffic. What changes is hatched as well, so that it can be told apart without colour.
pub(super) fn fill(class: TrafficClass) -> String {
    let name = class.as_str().replace(' ', "-");
    match class {
        TrafficClass::NewlyDenied | TrafficClass::NewlyAllowed => format!("url(#hatched-{name})"),
        TrafficClass::Denied | TrafficClass::Allowed => format!("var(--{name})"),
    }
}

/// The page's names for them.
fn named(svg: &str) -> String {
    let classes = TrafficClass::ALL.iter();
    let classes = classes.map(|&class| (format!("#0303{:02X}", class as u8), fill(class)));
    let others = [("#010101", "var(--text)"), ("#020202", "var(--line)")];
    let others = others.map(|(from, to)| (from.to_owned(), to.to_owned()));
    classes
        .into_iter()
        .chain(others)
        .fold(svg.to_owned(), |svg, (from, to)| svg.replace(&from, &to))
}

/// Stacked bars over time: connections (0) or bytes (1), for each width.
pub(super) fn bars(timeline: &Timeline, which: usize) -> Option<Vec<(&'static str, String)>> {
    let sums: Vec<(u64, ByClass)> =
        timeline.bars.iter().filter_map(|(key, bar)| Some((*key, *bar.get(which)?))).collect();
    let (first, last) = (sums.first()?.0, sums.last()?.0);
    let highest = sums.iter().map(|(_, of)| of.iter().sum::<u64>()).max().filter(|n| *n > 0)?;
    let draw = |(name, drawing): (&'static str, Drawing)| {
        let mut svg = String::new();
        let x = 0..last - first + 1;
        drawn(&mut svg, drawing, timeline, &sums, x, highest, which == 1).ok()?;
        Some((name, named(&svg)))
    };
    WIDTHS.into_iter().map(draw).collect()
}

fn drawn(
    svg: &mut String,
    drawing: Drawing,
    timeline: &Timeline,
    sums: &[(u64, ByClass)],
    x: Range<u64>,
    highest: u64,
    of_bytes: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, drawing.size).into_drawing_area();
    let first = sums.first().map_or(0, |(key, _)| *key);
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let float = |number: u64| number as f64;
    let mut chart = ChartBuilder::on(&root)
        .margin(6)
        // Half of the last label.
        .margin_right(drawing.letters * 7 / 2)
        .x_label_area_size(drawing.letters * 2)
        .y_label_area_size(drawing.letters * 5)
        .build_cartesian_2d(0.0..float(x.end), 0.0..float(highest) * 1.05)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "of the plot's own range"
    )]
    let whole = |value: f64| value.max(0.0) as u64;
    let font = ("sans-serif", drawing.letters).into_font().color(&TEXT);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(LINE)
        .axis_style(LINE)
        .label_style(font)
        .x_labels(drawing.x_labels)
        .y_labels(4)
        .x_label_formatter(&|at| {
            let time = (first + whole(*at)).saturating_mul(timeline.width);
            moment(time, timeline.width)
        })
        .y_label_formatter(&|at| match of_bytes {
            true => text::bytes(whole(*at)),
            false => text::count(whole(*at)),
        })
        .draw()?;
    for (key, of) in sums {
        let (left, mut below) = (float(key - first), 0);
        for class in TrafficClass::ALL.iter().copied().rev() {
            let amount = of.get(class as usize).copied().unwrap_or_default();
            if amount > 0 {
                let corners = [(left + 0.05, float(below)), (left + 0.95, float(below + amount))];
                chart.draw_series([Rectangle::new(corners, colour(class).filled())])?;
                below += amount;
            }
        }
    }
    root.present()?;
    drop(chart);
    Ok(())
}

/// `14:22:05`, with milliseconds where moments are closer than seconds.
pub(super) fn moment(time: u64, apart: u64) -> String {
    match apart {
        ..1_000_000_000 => format!("{}.{:03}", clock(time), time % 1_000_000_000 / 1_000_000),
        _ => clock(time),
    }
}

/// `14:22:05`
pub(super) fn clock(ns: u64) -> String {
    text::clock(ns, ns)
}
