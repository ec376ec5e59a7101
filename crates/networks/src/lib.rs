//! Networks as `docker network` has them, kept as ordinary CNI conflists.
