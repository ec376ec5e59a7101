//! The IPAM plugin `cluster`.
use std::process::ExitCode;

fn main() -> ExitCode {
    cni::serve(&ipam::CLUSTER)
}
