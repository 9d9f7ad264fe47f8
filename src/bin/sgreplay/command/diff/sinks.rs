//! Sinks of a comparison: writers, rows, the page.

use std::ops::ControlFlow;

use sgreplay::capture::{Frame, PcapWriter};
use sgreplay::collect::Changed;
use sgreplay::diff::{Change, Diff, Effect};
use sgreplay::engine::DiffSink;
use sgreplay::labels::BothLabels;
use sgreplay::report::{CHANGE_COLUMNS, RowFormat, Rows, change_rows};
use sgreplay::sources::Input;
use sgreplay::verdict::Judged;

use super::ChangeRows;
use super::args::DiffArgs;
use crate::command::fix::DeniedFlows;
use crate::command::judging::Report;
use crate::command::{summary_rows, warnings};
use crate::exit::Failure;
use crate::output::{Output, Outputs, stdout};

/// Where packets go.
pub(super) struct Sinks<'a> {
    pub(super) labels: BothLabels<'a>,
    pub(super) unseen: warnings::Unseen<'a>,
    pub(super) page: Option<Report>,
    pub(super) writers: Writers,
    pub(super) listed: Listed<'a>,
}

impl DiffSink for Sinks<'_> {
    type Error = Failure;

    #[inline]
    fn frame(
        &mut self,
        input: &Input<'_>,
        judged: [&Judged; 2],
        effect: Effect,
    ) -> Result<ControlFlow<()>, Failure> {
        let Input { frame, decoded, selected, .. } = input;
        self.unseen.look(frame);
        if *selected {
            if let Some(page) = &mut self.page {
                let [_, proposed] = judged;
                page.overview.add(frame, decoded, proposed, Some(effect), self.labels.proposed);
            }
            self.writers.write(frame, judged, effect, self.labels)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn pause(&mut self, diff: &mut Diff<'_>) -> Result<(), Failure> {
        match diff.is_full() {
            true => self.listed.add(&diff.take_over()),
            false => Ok(()),
        }
    }
}

/// The pcaps of changed packets and of all, each with a comment.
pub(super) struct Writers {
    changed: Option<PcapWriter>,
    annotated: Option<PcapWriter>,
}

impl Writers {
    pub(super) fn create(outputs: &mut Outputs) -> Result<Self, Failure> {
        Ok(Self {
            changed: outputs.create("write_changed")?.map(Output::frames).transpose()?,
            annotated: outputs.create("annotate")?.map(Output::pcapng).transpose()?,
        })
    }

    pub(super) fn write(
        &mut self,
        frame: &Frame<'_>,
        [current, proposed]: [&Judged; 2],
        effect: Effect,
        labels: BothLabels<'_>,
    ) -> Result<(), Failure> {
        let comment = || {
            let now = labels.current.comment(current);
            let then = labels.proposed.comment(proposed);
            Some(match effect {
                Effect::Unchanged => then,
                _ => format!("{}: {then}; was {now}", effect.as_str().replace('_', " ")),
            })
        };
        if let Some(writer) = &mut self.annotated {
            writer.write_commented(frame, comment)?;
        }
        if let (Some(writer), Effect::NewlyDenied | Effect::NewlyAllowed) =
            (&mut self.changed, effect)
        {
            writer.write_commented(frame, comment)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Failure> {
        for writer in [self.changed, self.annotated].into_iter().flatten() {
            writer.finish()?;
        }
        Ok(())
    }
}

/// Changed connections as they end, and their rows.
pub(super) struct Listed<'l> {
    pub(super) changed: Changed<'l>,
    pub(super) rows: Option<ChangeRows>,
    pub(super) format: Option<RowFormat>,
    /// For `--fix`.
    pub(super) denied: Option<DeniedFlows>,
}

impl<'l> Listed<'l> {
    pub(super) fn new(args: &DiffArgs, changed: Changed<'l>, memory: usize) -> Self {
        let format = summary_rows(args.format);
        let (format, changed) = match format {
            Some(RowFormat::Json) => (None, changed.with_list(memory)),
            format => (format, changed),
        };
        let denied = args.fix.is_some().then(DeniedFlows::default);
        Self { changed, rows: None, format, denied }
    }

    pub(super) fn add(&mut self, changes: &[Change]) -> Result<(), Failure> {
        for change in changes {
            self.changed.add(change);
            let accepted = self.changed.labels.accepted.position(change.effect, &change.flow);
            if let (Some(denied), None) = (&mut self.denied, accepted) {
                denied.change(change);
            }
        }
        let Some(format) = self.format else { return Ok(()) };
        let mut rows = match self.rows.take() {
            Some(rows) => rows,
            None => Box::new(Rows::new(stdout(), format, "change", &CHANGE_COLUMNS)?),
        };
        change_rows(changes, self.changed.labels, &mut rows)?;
        self.rows = Some(rows);
        Ok(())
    }
}
