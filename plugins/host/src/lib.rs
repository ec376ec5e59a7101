//! `host`: the container shares the network namespace of the host.
