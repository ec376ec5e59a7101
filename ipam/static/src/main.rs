//! The IPAM plugin `static`.
use std::process::ExitCode;

fn main() -> ExitCode {
    cni::serve(&ipam::STATIC)
}
