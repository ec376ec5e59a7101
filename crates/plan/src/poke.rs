//! A word to the agent: look now. Who has changed something on this node, or waits for what the agent writes down, says it.
use crate::state::State;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, socket};
use std::os::fd::{AsRawFd as _, OwnedFd};

/// The name of the agent's socket, in `STATE`.
pub const AGENT_SOCKET: &str = "agent.sock";

/// What is said.
pub const POKE: &[u8] = b"look\n";

/// Has the agent of this host look at once; whether there is one. One that is stopped, and has more callers than it can hold, keeps nobody waiting.
pub fn poke(state: &State) -> bool {
    UnixAddr::new(&state.directory().join(AGENT_SOCKET)).and_then(|agent| say(&agent)).is_ok()
}

fn say(agent: &UnixAddr) -> nix::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), agent)?;
    send(socket.as_raw_fd(), POKE, MsgFlags::MSG_NOSIGNAL).map(drop)
}
