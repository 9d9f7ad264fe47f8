//! What goes to the terminal beside the results.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line on standard error, under the program's name.
pub(crate) fn say(line: &str) {
    // Nothing can be done about a standard error that does not take it.
    let _ = writeln!(io::stderr().lock(), "sgreplay: {line}");
}

/// Progress over `bytes` of input, on standard error and only if that is a terminal.
pub(crate) fn progress(bytes: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = match bytes {
        Some(bytes) => ProgressBar::new(bytes),
        None => ProgressBar::no_length(),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    let template = match bytes {
        Some(_) => "{msg} packets  {bytes}/{total_bytes}  {bytes_per_sec}  {eta}",
        None => "{msg} packets  {bytes}  {bytes_per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
