//! The `overlay` plugin as an executable of its own.
use std::process::ExitCode;

fn main() -> ExitCode {
    plugin::run::<overlay::Overlay>()
}
