//! The IPAM plugin `cluster`.
use std::process::ExitCode;

fn main() -> ExitCode {
    ipam::cluster::lease_with(agent::LESSOR);
    cni::serve(&ipam::CLUSTER)
}
