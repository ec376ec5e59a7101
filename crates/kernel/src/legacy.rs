//! The tables of the iptables before nftables, as far as others still use it: which there are, what becomes of what a chain decides
//! nothing about, and which chains somebody has made. Nothing is changed here, and no program is needed to look.
//!
//! # Theory of operation
//! The kernel lists the names of a namespace's tables in a file. A table is asked for only if it is listed: to ask makes it. The answer is all of
//! its entries in one piece, each with its length (`include/uapi/linux/netfilter_ipv4/ip_tables.h`, `ip6_tables.h`); a chain begins with an entry
//! whose target is called `ERROR` and holds the chain's name, and ends with its policy.
use crate::Error;
use nix::{
    errno::Errno,
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};
use std::{
    fs,
    io::ErrorKind,
    mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

/// A family of addresses. Each has tables of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the two families")]
pub enum Family {
    Ipv4,
    Ipv6,
}

/// What a table is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    drops: bool,
    chains: Vec<String>,
}

impl Table {
    /// Reads this table of the calling thread's network namespace; `None` if it is not loaded there.
    pub fn read(family: Family, name: &str) -> Result<Option<Self>, Error> {
        if !is_loaded(family, name)? {
            return Ok(None);
        }
        match whole(family, name) {
            Ok(table) => Ok(Some(table)),
            // It has gone meanwhile.
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(Error::system(format!("read table {name} of the older iptables"), errno)),
        }
    }

    /// Whether what is forwarded is dropped unless a rule accepts it: the policy of `FORWARD`.
    pub fn drops_what_is_forwarded(&self) -> bool {
        self.drops
    }

    /// Whether somebody has made a chain of this name.
    pub fn has_chain(&self, name: &str) -> bool {
        self.chains.iter().any(|chain| chain == name)
    }
}

/// Whether this table is loaded in the calling thread's network namespace. There is no list of them in a kernel that knows none, and none to
/// read for who is not root there.
pub fn is_loaded(family: Family, name: &str) -> Result<bool, Error> {
    let list = family.list();
    match fs::read_to_string(list) {
        Ok(names) => Ok(names.lines().any(|it| it == name)),
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(false),
        Err(cause) => Err(Error::io(format!("read {list}"), &cause)),
    }
}

impl Family {
    fn list(self) -> &'static str {
        match self {
            Family::Ipv4 => "/proc/thread-self/net/ip_tables_names",
            Family::Ipv6 => "/proc/thread-self/net/ip6_tables_names",
        }
    }

    fn socket(self) -> (AddressFamily, libc::c_int) {
        match self {
            Family::Ipv4 => (AddressFamily::Inet, libc::SOL_IP),
            Family::Ipv6 => (AddressFamily::Inet6, libc::SOL_IPV6),
        }
    }

    /// Where `target_offset` is in `struct ipt_entry` or `struct ip6t_entry`; `next_offset` comes behind it.
    fn target_offset(self) -> usize {
        match self {
            Family::Ipv4 => 88,
            Family::Ipv6 => 140,
        }
    }
}

fn whole(family: Family, name: &str) -> Result<Table, Errno> {
    let (domain, level) = family.socket();
    let socket = socket(domain, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut tries = 0..TRIES;
    loop {
        let mut info = named(name, INFO_SIZE);
        ask(socket.as_fd(), level, GET_INFO, &mut info)?;
        let size = number(&info, SIZE_AT).ok_or(Errno::EPROTO)?;
        let mut entries = named(name, ENTRIES_AT + size as usize);
        entries.iter_mut().skip(NAME_SIZE).zip(size.to_ne_bytes()).for_each(|(to, from)| *to = from);
        match ask(socket.as_fd(), level, GET_ENTRIES, &mut entries) {
            // It has another size by now.
            Err(Errno::EAGAIN) if tries.next().is_some() => {}
            other => {
                other?;
                let entries = entries.get(ENTRIES_AT..).unwrap_or_default();
                return table(family, &info, entries).ok_or(Errno::EPROTO);
            }
        }
    }
}

/// `None` for what can't be.
fn table(family: Family, info: &[u8], entries: &[u8]) -> Option<Table> {
    let policy = number(info, UNDERFLOW_AT + FORWARD * mem::size_of::<u32>())? as usize;
    let (mut drops, mut chains, mut at) = (false, Vec::new(), 0);
    while at < entries.len() {
        let entry = entries.get(at..)?;
        let [to_target, length] = [0, 2].map(|behind| short(entry, family.target_offset() + behind));
        let (target, length) = (entry.get(usize::from(to_target?)..)?, usize::from(length?));
        if text(target.get(2..)?) == b"ERROR" {
            chains.push(String::from_utf8_lossy(text(target.get(TARGET_SIZE..)?)).into_owned());
        } else if at == policy {
            drops = number(target, TARGET_SIZE)? == DROP;
        }
        if length == 0 {
            return None;
        }
        at += length;
    }
    Some(Table { drops, chains })
}

/// A request that begins with the table's name.
fn named(name: &str, size: usize) -> Vec<u8> {
    let mut request = name.as_bytes().to_vec();
    request.truncate(NAME_SIZE - 1);
    request.resize(size, 0);
    request
}

#[allow(unsafe_code, reason = "nix has none of these options")]
fn ask(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    answer: &mut [u8],
) -> Result<(), Errno> {
    let mut length = libc::socklen_t::try_from(answer.len()).map_err(|_| Errno::EOVERFLOW)?;
    let (fd, to) = (socket.as_raw_fd(), answer.as_mut_ptr().cast());
    // SAFETY: the descriptor is open for the length of the call, and the kernel writes no more than `length` bytes, which are all `answer`'s.
    Errno::result(unsafe { libc::getsockopt(fd, level, option, to, &raw mut length) }).map(drop)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

/// Up to the first NUL.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// How often a table is asked for again that others change meanwhile.
const TRIES: u32 = 10;
/// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO`: where a table's chains begin and end.
const GET_INFO: libc::c_int = 64;
/// `IPT_SO_GET_ENTRIES` and `IP6T_SO_GET_ENTRIES`.
const GET_ENTRIES: libc::c_int = 65;
/// `XT_TABLE_MAXNAMELEN`.
const NAME_SIZE: usize = 32;
/// `struct ipt_getinfo`: the name, `valid_hooks`, five of `hook_entry`, five of `underflow`, `num_entries`, `size`.
const UNDERFLOW_AT: usize = NAME_SIZE + 6 * mem::size_of::<u32>();
const SIZE_AT: usize = UNDERFLOW_AT + 6 * mem::size_of::<u32>();
const INFO_SIZE: usize = SIZE_AT + mem::size_of::<u32>();
/// `NF_INET_FORWARD`.
const FORWARD: usize = 2;
/// `struct ipt_get_entries`: the name and the size, and then entries, which are aligned as their counters are.
const ENTRIES_AT: usize = (NAME_SIZE + mem::size_of::<u32>()).next_multiple_of(mem::align_of::<u64>());
/// `struct xt_entry_target`: the target's size, its name, its revision. What is the target's own follows.
const TARGET_SIZE: usize = 32;
/// The verdict `NF_DROP` of a standard target, `-NF_DROP - 1`.
const DROP: u32 = u32::MAX;
