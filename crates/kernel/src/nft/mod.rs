//! nftables over netlink: tables, chains, sets, maps and rules, changed in transactions (`linux/netfilter/nf_tables.h`,
//! nft(8)).
//!
//! # Theory of operation
//! What is to change is plain data, collected in a [`Transaction`]; [`Nft::commit`] sends it in one datagram, which the kernel carries
//! out whole or not at all, and by then has answered. Nothing is listed to make a change: an element is added to its set and
//! taken from it by its key, at a cost that does not depend on how many there are.
//!
//! The kernel makes the last close of a socket of this protocol wait until everything deleted in its namespace, by whomever, is
//! freed (some 20 ms), and everybody else with it: [`Nft::close_later`].
mod close;
mod encode;
mod expression;
mod monitor;
mod object;
mod read;
mod socket;
mod transaction;
mod value;

pub(crate) use encode::Attributes;
pub use expression::{Compare, Ct, Expression, Fib, Meta, Nat, Payload, Register};
pub use monitor::{Changed, Event, Monitor, Object};
pub use object::{Chain, ChainType, Datum, Family, Hook, Point, Policy, Rule, Set, Table};
pub use read::{Found, FoundRule};
pub(crate) use read::{Map, body};
pub use socket::Nft;
pub(crate) use transaction::Request;
pub use transaction::Transaction;
pub use value::{Element, Field, Kind, Value, Verdict};
