//! The `host-device` plugin as an executable of its own.
use std::process::ExitCode;

fn main() -> ExitCode {
    plugin::run::<host_device::HostDevice>()
}
