//! Waiting in a test. What happens by itself is waited for, however long the machine takes; only what hangs is given up.
use std::{
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

/// How long a command may take, or whatever else a test waits for. It says nothing about how fast anything is: a machine may be
/// slow, and do much else.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Looks until it is so, and no longer than [`PATIENCE`]; whether it is.
pub fn soon(mut is_so: impl FnMut() -> bool) -> bool {
    let limit = Instant::now() + PATIENCE;
    loop {
        // In this order: the last look is after the limit.
        let over = Instant::now() > limit;
        if is_so() {
            return true;
        }
        if over {
            return false;
        }
        thread::sleep(PAUSE);
    }
}

/// Waits for a child's end; none if it does not come.
pub fn wait(child: &mut Child) -> Option<ExitStatus> {
    let mut status = None;
    soon(|| {
        status = child.try_wait().ok().flatten();
        status.is_some()
    });
    status
}

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);
