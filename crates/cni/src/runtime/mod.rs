//! The runtime's side of the protocol.
