//! Rules as iptables(8) has them, changed by one `iptables-restore` each time.
//!
//! # Theory of operation
//! A [`Change`] is the text of one `iptables-restore --noflush` for one table of one family, which is carried out whole or not at all.
//! It may begin with what it takes for granted ([`Change::require`]): where that is missing nothing is changed, and whoever asked looks
//! closer. So what stands already costs no look of its own, with either of the two programs that are called iptables-restore.
//!
//! Only this crate of the plugins' starts a program. No shell is involved: the text goes in as a file in memory, and its words are
//! quoted. What is read, in CHECK after a refusal, when a table is met for the first time and after another suite, is read through
//! the crate `iptables`, whose speed does not matter there.
mod change;
mod error;
mod name;
mod program;
mod read;
mod rule;

pub use change::Change;
pub use error::{Error, Why, Words};
pub use name::{ChainName, Family, Interface, InvalidWord, Table, Word, chain_of, hash};
pub use program::{is_installed, of_the_host};
pub use read::{Ruleset, read, shown_by};
pub use rule::Rule;
