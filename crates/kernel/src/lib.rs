//! All of Linux that Sealane touches, and no policy: what to make and in which order is decided elsewhere.
//!
//! Everything is synchronous and belongs to the thread that calls it. A [`Rtnl`] speaks to the network namespace it
//! was opened in; [`Netns::run`] opens one in another. Requests are built as [`Message`]s by [`link`], [`addr`] and
//! [`route`], and sent as many at a time as one likes by [`Rtnl::transact`].
pub mod addr;
mod announce;
mod boot;
mod capture;
pub mod conntrack;
mod echo;
mod entry;
mod error;
mod family;
pub mod fdb;
mod held;
mod ifreq;
mod isolation;
pub mod kept;
pub mod legacy;
pub mod link;
mod listener;
mod message;
pub mod mounts;
pub mod neigh;
mod netns;
pub mod nexthop;
pub mod nft;
pub mod nsid;
mod pidfd;
pub mod pinned;
mod process;
mod reply;
pub mod route;
pub mod rule;
mod signals;
mod socket;
mod sounding;
pub mod sysctl;
pub mod sysfs;
pub mod tap;
pub mod tc;
mod terminal;
mod unlink;
#[cfg(feature = "watch")]
mod watch;
mod wire;

pub use announce::{announce_later, announce_tested};
pub use boot::{boot_id, machine_id};
pub use capture::{Capture, Captured};
pub use echo::{Echo, Heard};
pub use entry::start;
pub use error::{Error, Refusal};
pub use family::{call_thread, die_with_parent, end_with_starter, hand_down, handed_down, has_stopped, reap};
pub use held::find_held;
pub use isolation::{Namespace, Surroundings, become_root, is_root, isolate, set_hostname, threads};
pub use link::{BridgePort, Link};
pub use listener::{Transport, is_listened_on};
pub use message::Message;
pub use netns::{Netns, NetnsId, netns_cookie};
pub use nix::{errno::Errno, sys::signal::Signal};
pub use pidfd::{Pidfd, process_of, start_of};
pub use process::{Detached, attended, detached, keep_streams_only};
pub use signals::{Caught, News, Signals, heed, tell_this_process};
pub use socket::{Answer, Rtnl};
pub use sounding::{Sounded, Sounding};
pub use terminal::{Terminal, go_on, lead_group, lead_session, prepare, stop};
pub use unlink::{unlink_link, unlink_link_under};
#[cfg(feature = "watch")]
pub use watch::{AddressOf, ComingRoutes, RouteTo, Watch};
