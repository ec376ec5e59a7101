//! What can go wrong here. The words are the reference's where it has any, for people search for them.
use crate::pool::InvalidRange;
use cni::{Code, Failure};
use std::{fmt, io, net::IpAddr, path::PathBuf};
use types::RelativeDirectory;

/// Why an address could not be given, taken back or vouched for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration has no `ipam` object.
    #[error("IPAM config missing 'ipam' key")]
    NoIpam,
    /// `preview` was asked about a plugin that is not of this crate.
    #[error("IPAM plugin {0:?} is not built in")]
    NotBuiltIn(String),
    /// Neither the configuration nor the runtime names a range.
    #[error("no IP ranges specified")]
    NoRanges,
    /// A range set says something that cannot be.
    #[error("invalid range set {set}")]
    RangeSet {
        /// Its place in the list, from 0; the runtime's `ipRanges` come first.
        set: usize,
        /// What is wrong with it.
        #[source]
        cause: InvalidRange,
    },
    /// Two range sets share addresses.
    #[error("range set {first} overlaps with {second}")]
    Overlap {
        /// Place of the first in the list, from 0.
        first: usize,
        /// Place of the second in the list, from 0.
        second: usize,
    },
    /// Results below 0.3.0 have room for one address of each family.
    #[error("CNI version {version} does not support more than 1 address per family")]
    OnePerFamily {
        /// The configuration's version.
        version: cni::Version,
    },
    /// A value should be a prefix such as 10.1.2.0/24.
    #[error("invalid CIDR address: {0}")]
    NotAPrefix(String),
    /// A value should be an address such as 10.1.2.3.
    #[error("invalid IP address: {0}")]
    NotAnAddress(String),
    /// A requested address should be one such as 10.1.2.3 or 10.1.2.3/24.
    #[error("invalid IP address {0}")]
    NotARequest(String),
    /// As [`Error::NotARequest`], in `CNI_ARGS`.
    #[error("ARGS: error parsing value of pair \"IP={0}\": invalid IP address {0}")]
    NotARequestInArgs(String),
    /// `statusWhenFull` has an unknown value.
    #[error("unknown value {0:?} of statusWhenFull")]
    StatusWhenFull(String),
    /// The file named by `resolvConf` could not be read.
    #[error("open {path}")]
    ResolvConf {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// One range set could not give an address.
    #[error("failed to allocate for range {set}")]
    Allocate {
        /// Its place in the list, from 0; the runtime's `ipRanges` come first.
        set: usize,
        /// Why.
        #[source]
        cause: Refusal,
    },
    /// Addresses were requested that no range set has room for.
    #[error("failed to allocate all requested IPs: {}", list(.0))]
    Unfulfilled(Vec<IpAddr>),
    /// Other processes took address after address without taking the lock.
    #[error("addresses of network {network} were taken while its lock was held")]
    Disturbed {
        /// The network.
        network: String,
    },
    /// STATUS, when `statusWhenFull` is `unavailable`: no address is free.
    #[error("no IP addresses available in range set: {set}")]
    Unavailable {
        /// The range set.
        set: String,
        /// Who holds the addresses.
        held: Held,
    },
    /// CHECK: no reservation names this attachment.
    #[error("{plugin}: Failed to find address added by container {container}")]
    NotHeld {
        /// Which of our plugins.
        plugin: &'static str,
        /// The container.
        container: String,
        /// Addresses that our record says it has.
        recorded: Vec<IpAddr>,
    },
    /// `static`: a value should be an address with a prefix length.
    #[error("{} in CIDR notation, got: '{value}'", .field.words())]
    NoPrefixLength {
        /// Where it stands.
        field: PrefixField,
        /// The value at fault.
        value: String,
    },
    /// `static`: a gateway in `CNI_ARGS` is not an address.
    #[error("invalid gateway address: {0}")]
    Gateway(String),
    /// `static`: CHECK without the result of ADD.
    #[error("Required prevResult missing")]
    NoPrevResult,
    /// `static`: CHECK found another gateway than the configuration's.
    #[error("static: Failed to match addr {address} on interface {ifname}")]
    Mismatch {
        /// The address.
        address: IpAddr,
        /// The interface of the attachment.
        ifname: String,
        /// The gateway that was configured.
        wanted: IpAddr,
    },
    /// An environment variable should name a directory from the root.
    #[error(transparent)]
    RelativeDirectory(#[from] RelativeDirectory),
    /// A reservation of host-local could not be read or written.
    #[error("could not {doing} {path}")]
    Reservation {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
    /// An address of a network over many nodes could not be given.
    #[error(transparent)]
    Cluster(Box<crate::cluster::Error>),
    /// What a node is said to own cannot be.
    #[error("invalid record of what this node owns")]
    Layout(#[source] cluster::Error),
    /// A record of ours could not be read or written.
    #[error("could not {doing} {path}")]
    Record {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
}

impl From<crate::cluster::Error> for Error {
    fn from(error: crate::cluster::Error) -> Self {
        Self::Cluster(Box::new(error))
    }
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::NoIpam
            | Self::NotBuiltIn(_)
            | Self::NoRanges
            | Self::RangeSet { .. }
            | Self::Overlap { .. }
            | Self::OnePerFamily { .. }
            | Self::NotAPrefix(_)
            | Self::NotAnAddress(_)
            | Self::NotARequest(_)
            | Self::StatusWhenFull(_)
            | Self::Unfulfilled(_)
            | Self::NoPrevResult => Code::InvalidConfig,
            Self::NotARequestInArgs(_) | Self::Gateway(_) | Self::RelativeDirectory(_) => {
                Code::InvalidEnvironment
            }
            Self::NoPrefixLength { field, .. } => field.code(),
            Self::ResolvConf { .. } | Self::Reservation { .. } => Code::Io,
            Self::Allocate { cause, .. } => cause.code(),
            Self::Disturbed { .. } => Code::TryAgain,
            Self::Unavailable { .. } => Code::NotAvailable,
            Self::NotHeld { .. } | Self::Mismatch { .. } => Code::Check,
            Self::Cluster(cause) => cause.code(),
            Self::Layout(_) | Self::Record { .. } => Code::State,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint: String = match self {
            Self::NoIpam => "add an `ipam` object with a `type` to the network's configuration".into(),
            Self::NotBuiltIn(_) => "what another plugin would answer is not known without calling it".into(),
            Self::NoRanges => {
                "give `ipam` a `ranges` list or a `subnet`, or let the runtime send `ipRanges`".into()
            }
            Self::RangeSet { cause, .. } => cause.hint(),
            Self::Overlap { .. } => "each address may be in one range set only".into(),
            Self::OnePerFamily { .. } => "raise `cniVersion` to 0.3.0 or later".into(),
            Self::NotAPrefix(_) | Self::NoPrefixLength { .. } => {
                "write it with its prefix length, such as 10.1.2.3/24".into()
            }
            Self::NotAnAddress(_) => "write an address without a length, such as 10.1.2.3".into(),
            Self::NotARequest(_) | Self::NotARequestInArgs(_) => {
                "a requested address is written 10.1.2.3 or 10.1.2.3/24".into()
            }
            Self::StatusWhenFull(_) => "it is `ready` (the default) or `unavailable`".into(),
            Self::ResolvConf { .. } => {
                "`resolvConf` names a file like resolv.conf(5) that the plugin can read".into()
            }
            Self::Allocate { cause, .. } => cause.hint(),
            Self::Unfulfilled(_) => {
                "a requested address must lie in a range, and each range set gives one address".into()
            }
            Self::Disturbed { .. } => {
                "some program writes reservations without locking the file `lock` beside them".into()
            }
            Self::Unavailable { held, .. } => held.to_string(),
            Self::NotHeld { recorded, .. } if recorded.is_empty() => "nothing is recorded of it".into(),
            Self::NotHeld { recorded, .. } => {
                format!("it was given {}, of which not all are reserved now", list(recorded))
            }
            Self::Gateway(_) => "GATEWAY is a list of addresses with commas, such as 10.1.2.1,fd00::1".into(),
            Self::NoPrevResult => "CHECK needs the result of ADD as `prevResult`".into(),
            Self::Mismatch { wanted, .. } => format!("the configuration has the gateway {wanted}"),
            Self::RelativeDirectory(_) => "write the path from the root, beginning with /".into(),
            Self::Reservation { .. } => {
                "reservations lie in `dataDir`, by default /var/lib/cni/networks".into()
            }
            Self::Cluster(cause) => return cause.hint(),
            Self::Layout(cause) => return cause.hint(),
            Self::Record { .. } => {
                "lease records lie in $SEALANE_DATA_DIR, by default /var/lib/sealane, which must be writable"
                    .into()
            }
        };
        Some(hint)
    }
}

/// Why one range set could not give an address.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The attachment has one already: ADD came twice without a DEL between (CNI spec 1.1, "ADD").
    #[error("{address} has been allocated to {container}, duplicate allocation is not allowed")]
    Duplicate {
        /// What it has.
        address: IpAddr,
        /// The container.
        container: String,
    },
    /// The requested address is the gateway of its subnet.
    #[error("requested ip {0} is subnet's gateway")]
    IsGateway(IpAddr),
    /// The requested address is taken.
    #[error("requested IP address {address} is not available in range set {set}")]
    Taken {
        /// What was requested.
        address: IpAddr,
        /// The range set it lies in.
        set: String,
        /// Who holds it.
        holder: String,
    },
    /// Every address is taken.
    #[error("no IP addresses available in range set: {set}")]
    Full {
        /// The range set.
        set: String,
        /// Who holds the addresses.
        held: Held,
    },
}

impl Refusal {
    fn code(&self) -> Code {
        match self {
            Self::Duplicate { .. } | Self::Taken { .. } => Code::Taken,
            Self::IsGateway(_) => Code::InvalidConfig,
            Self::Full { .. } => Code::TryAgain,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Duplicate { .. } => {
                "the attachment is there already; call DEL first, or use another interface name".to_owned()
            }
            Self::IsGateway(_) => "request another address of the subnet".to_owned(),
            Self::Taken { holder, .. } => format!("it is held by {holder}"),
            Self::Full { held, .. } => held.to_string(),
        }
    }
}

/// Where a prefix of `static` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixField {
    /// `IP` in `CNI_ARGS`.
    Args,
    /// `ips` in `args.cni` or `runtimeConfig`.
    Ips,
    /// `address` in `ipam.addresses`.
    Address,
}

impl PrefixField {
    fn words(self) -> &'static str {
        match self {
            Self::Args => "the 'ip' field is expected to be",
            Self::Ips => "an entry in the 'ips' field is NOT",
            Self::Address => "the 'address' field is expected to be",
        }
    }

    fn code(self) -> Code {
        match self {
            Self::Args => Code::InvalidEnvironment,
            Self::Ips | Self::Address => Code::InvalidConfig,
        }
    }
}

/// How many addresses of a range set are held, and the first few holders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// How many.
    pub count: usize,
    /// The first few, each with its address.
    pub by: Vec<(IpAddr, String)>,
}

impl Held {
    /// Counts one more, and names it if it is one of the first few.
    pub(crate) fn add(&mut self, address: IpAddr, holder: &dyn fmt::Display, named: usize) {
        self.count += 1;
        if self.by.len() < named {
            self.by.push((address, holder.to_string()));
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = if self.count == 1 { "address is" } else { "addresses are" };
        write!(out, "{} {addresses} held", self.count)?;
        for (at, (address, holder)) in self.by.iter().enumerate() {
            write!(out, "{} {address} by {holder}", if at == 0 { ":" } else { "," })?;
        }
        let rest = self.count.saturating_sub(self.by.len());
        if rest > 0 {
            write!(out, " and {rest} more")?;
        }
        out.write_str("; `sealane gc` frees those whose container is gone")
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let words: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    words.join(" ")
}
