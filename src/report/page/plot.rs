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

/// The page's names for them.
fn named(svg: &str) -> String {
    let classes = TrafficClass::ALL.iter().map(|&class| {
        let name = class.as_str().replace(' ', "-");
        (format!("#0303{:02X}", class as u8), format!("var(--{name})"))
    });
    let others = [("#010101", "var(--text)"), ("#020202", "var(--line)")];
    let others = others.map(|(from, to)| (from.to_owned(), to.to_owned()));
    classes
        .into_iter()
        .chain(others)
        .fold(svg.to_owned(), |svg, (from, to)| svg.replace(&from, &to))
}

/// Stacked bars over time: connections (0) or bytes (1).
pub(super) fn bars(timeline: &Timeline, which: usize) -> Option<String> {
    let sums: Vec<(u64, ByClass)> =
        timeline.bars.iter().filter_map(|(key, bar)| Some((*key, *bar.get(which)?))).collect();
    let (first, last) = (sums.first()?.0, sums.last()?.0);
    let highest = sums.iter().map(|(_, of)| of.iter().sum::<u64>()).max().filter(|n| *n > 0)?;
    let mut svg = String::new();
    drawn(&mut svg, timeline, &sums, 0..last - first + 1, highest, which == 1).ok()?;
    Some(named(&svg))
}

fn drawn(
    svg: &mut String,
    timeline: &Timeline,
    sums: &[(u64, ByClass)],
    x: Range<u64>,
    highest: u64,
    of_bytes: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (900, 220)).into_drawing_area();
    let first = sums.first().map_or(0, |(key, _)| *key);
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let float = |number: u64| number as f64;
    let mut chart = ChartBuilder::on(&root)
        .margin(6)
        .x_label_area_size(24)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..float(x.end), 0.0..float(highest) * 1.05)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "of the plot's own range"
    )]
    let whole = |value: f64| value.max(0.0) as u64;
    let font = ("sans-serif", 12).into_font().color(&TEXT);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(LINE)
        .axis_style(LINE)
        .label_style(font)
        .x_labels(6)
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
