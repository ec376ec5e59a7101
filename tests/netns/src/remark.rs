//! What a test has to say besides its outcome.
//!
//! Tests run side by side, and the line of one that has ended is written in pieces. What another said meanwhile would be in the middle of it, and whoever reads
//! the outcomes off the lines (`.ci/run`, `.ci/vm`) would take that test for one that did not run.
use std::sync::{Mutex, PoisonError};

static REMARKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Says something in a line of its own, when all tests have ended.
pub fn remark(text: impl Into<String>) {
    REMARKS.lock().unwrap_or_else(PoisonError::into_inner).push(text.into());
}

/// Now they have.
pub(crate) fn print_remarks() {
    for remark in REMARKS.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        eprintln!("{remark}");
    }
}
