//! The IPAM plugin `host-local`.
use std::process::ExitCode;

fn main() -> ExitCode {
    cni::serve(&ipam::HOST_LOCAL)
}
