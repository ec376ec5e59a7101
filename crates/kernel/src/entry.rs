//! The start of a process, without what the standard library does before `main`.
//!
//! That reads `/proc/self/maps` to find the stack's end, and makes a second stack to say "stack overflow" on: 70 us of
//! the 430 us that an `exec` costs here, more than a plugin's whole parsing and printing. Arguments and environment are
//! there without it (glibc hands them to `.init_array`).
use nix::sys::signal::{SigHandler, Signal, signal};

/// Makes a function `fn() -> u8`, the exit status, the program's start. The crate says `#![no_main]`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        // SAFETY: `main` is the name that the C library calls, and nothing else of that name is linked.
        #[unsafe(no_mangle)]
        extern "C" fn main() -> i32 {
            $crate::start($main)
        }
    };
}

/// Runs the program's function and gives its exit status. A closed stdout is an error to it, not its end (`SIGPIPE` is
/// ignored, as the standard library has it). What it prints it has to flush.
#[doc(hidden)]
#[allow(unsafe_code, reason = "a signal's disposition belongs to the whole process")]
pub fn start(main: fn() -> u8) -> i32 {
    // SAFETY: no thread is there yet, and to ignore a signal runs no handler.
    let _ignored = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    i32::from(main())
}
