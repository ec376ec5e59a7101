//! What the chores print: results on standard output, progress on standard error. A closed pipe ends neither.
use std::io::Write as _;

/// One line of result.
pub(crate) fn say(line: &str) {
    let _closed_pipe = writeln!(std::io::stdout(), "{line}");
}

/// One line of progress.
pub(crate) fn note(line: &str) {
    let _closed_pipe = writeln!(std::io::stderr(), "{line}");
}
