//! Traffic control: the queue in front of a link, and where what comes in is led (tc(8), `linux/pkt_sched.h`, `linux/pkt_cls.h`).
use crate::{Error, Message, Rtnl, reply::attributes};
use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, parse_string,
    parse_u32, parse_u64,
};
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcHandle, TcHeader, TcMessage},
};
use nix::errno::Errno;

/// A token bucket filter, tc-tbf(8): what leaves a link waits here, and is dropped if it would wait too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tbf {
    /// Bytes a second, from 1 on.
    pub rate: u64,
    /// Bytes that may leave at once, from 1 on.
    pub burst: u32,
    /// Bytes that may wait, what may leave at once among them.
    pub limit: u32,
}

/// A queue at a link's root, as far as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its kind: `tbf`, `noqueue`, ...
    pub kind: String,
    /// Of a `tbf` its rate in bytes a second, and how many may wait.
    pub tbf: Option<(u64, u32)>,
}

/// Puts a token bucket filter before a link, as its queue `1:`. `EEXIST` if somebody has put a queue there.
pub fn add_tbf(link: u32, tbf: Tbf) -> Message {
    let mut message = message(link, HANDLE, TcHandle::ROOT, "tbf");
    let parameters = [
        DefaultNla::new(TCA_TBF_PARMS, parameters(tbf)),
        DefaultNla::new(TCA_TBF_BURST, tbf.burst.to_ne_bytes().to_vec()),
    ];
    let large = u32::try_from(tbf.rate).is_err();
    let rate = large.then(|| DefaultNla::new(TCA_TBF_RATE64, tbf.rate.to_ne_bytes().to_vec()));
    let options: Vec<DefaultNla> = parameters.into_iter().chain(rate).collect();
    message.attributes.push(TcAttribute::Other(nest(TCA_OPTIONS, &options)));
    let what = format!("put a token bucket filter before link {link}");
    Message::new(what, RouteNetlinkMessage::NewQueueDiscipline(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Takes it away again. `ENOENT` or `EINVAL` if there is none that was put there so.
pub fn delete_tbf(link: u32) -> Message {
    let what = format!("take the token bucket filter from link {link}");
    let message = message(link, HANDLE, TcHandle::ROOT, "tbf");
    Message::new(what, RouteNetlinkMessage::DelQueueDiscipline(message), 0)
}

/// Has what comes in by a link pass through filters first. `EEXIST` if it does already.
pub fn add_ingress(link: u32) -> Message {
    let what = format!("filter what comes in by link {link}");
    let message = message(link, INGRESS, TcHandle::INGRESS, "ingress");
    Message::new(what, RouteNetlinkMessage::NewQueueDiscipline(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Ends that, and the filters with it. `ENOENT` or `EINVAL` if it was not so.
pub fn delete_ingress(link: u32) -> Message {
    let what = format!("no longer filter what comes in by link {link}");
    let message = message(link, INGRESS, TcHandle::INGRESS, "ingress");
    Message::new(what, RouteNetlinkMessage::DelQueueDiscipline(message), 0)
}

/// Has all that comes in by a link leave by another: a filter that takes everything (tc-u32(8)) with one action (tc-mirred(8)).
pub fn lead(from: u32, to: u32) -> Message {
    let mut message = message(from, TcHandle::default(), INGRESS, "u32");
    // Priority and protocol, which is all of them (`ETH_P_ALL`) in network order.
    message.header.info = (1 << 16) | u32::from(u16::to_be(3));
    let action = [
        text(TCA_ACT_KIND, "mirred"),
        nest(TCA_ACT_OPTIONS, &[DefaultNla::new(TCA_MIRRED_PARMS, redirect(to))]),
    ];
    let options = [
        DefaultNla::new(TCA_U32_CLASSID, 0x0001_0001_u32.to_ne_bytes().to_vec()),
        DefaultNla::new(TCA_U32_SEL, everything()),
        nest(TCA_U32_ACT, &[nest(1, &action)]),
    ];
    message.attributes.push(TcAttribute::Other(nest(TCA_OPTIONS, &options)));
    let what = format!("lead what comes in by link {from} to link {to}");
    Message::new(what, RouteNetlinkMessage::NewTrafficFilter(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// The queue at a link's root; none where the link is gone, or has none that somebody put there.
pub fn root(rtnl: &mut Rtnl, link: u32) -> Result<Option<Root>, Error> {
    let request = Message::new(
        format!("look at the queue of link {link}"),
        RouteNetlinkMessage::GetQueueDiscipline(bare(link, TcHandle::default(), TcHandle::ROOT)),
        NLM_F_ECHO, // what is asked for is told as news (`qdisc_notify` in `net/sched/sch_api.c`)
    );
    match rtnl.ask(&request, read_root) {
        Err(error) if matches!(error.errno(), Some(Errno::ENODEV | Errno::ENOENT | Errno::EINVAL)) => {
            Ok(None)
        }
        other => Ok(other?.flatten()),
    }
}

/// The links that what comes in by a link is led to.
pub fn led_to(rtnl: &mut Rtnl, link: u32) -> Result<Vec<u32>, Error> {
    let request = Message::new(
        format!("list filters of link {link}"),
        RouteNetlinkMessage::GetTrafficFilter(bare(link, TcHandle::default(), INGRESS)),
        0,
    );
    match rtnl.list(&request, |bytes| read_targets(bytes).map(Some)) {
        Err(error) if matches!(error.errno(), Some(Errno::ENODEV | Errno::ENOENT | Errno::EINVAL)) => {
            Ok(Vec::new())
        }
        targets => Ok(targets?.into_iter().flatten().collect()),
    }
}

fn bare(link: u32, handle: TcHandle, parent: TcHandle) -> TcMessage {
    let mut message = TcMessage::default();
    message.header = TcHeader { index: link.cast_signed(), handle, parent, ..TcHeader::default() };
    message
}

fn message(link: u32, handle: TcHandle, parent: TcHandle, kind: &str) -> TcMessage {
    let mut message = bare(link, handle, parent);
    message.attributes.push(TcAttribute::Kind(kind.to_owned()));
    message
}

/// `struct tc_tbf_qopt`: two of `struct tc_ratespec` (of which one is a peak rate, and not there), limit, buffer and MTU, of which
/// the last two are said otherwise (`TCA_TBF_BURST`).
fn parameters(tbf: Tbf) -> Vec<u8> {
    const ETHERNET: u8 = 1; // TC_LINKLAYER_ETHERNET: no table of times is to be looked at
    let rate = u32::try_from(tbf.rate).unwrap_or(u32::MAX);
    let mut bytes = vec![0, ETHERNET, 0, 0, 0, 0, 0, 0];
    bytes.extend(rate.to_ne_bytes());
    bytes.extend([0; 12]);
    bytes.extend(tbf.limit.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes
}

/// `struct tc_u32_sel` with one key, which looks at no bit.
fn everything() -> Vec<u8> {
    const TERMINAL: u8 = 1; // TC_U32_TERMINAL
    let (head, key) = ([TERMINAL, 0, 1], [0; 16]);
    [&head[..], &[0; 13], &key].concat()
}

/// `struct tc_mirred`: the packet leaves by the other link, and is not seen here any more.
fn redirect(to: u32) -> Vec<u8> {
    const STOLEN: u32 = 4; // TC_ACT_STOLEN
    const EGRESS_REDIRECT: u32 = 1; // TCA_EGRESS_REDIR
    [0, 0, STOLEN, 0, 0, EGRESS_REDIRECT, to].into_iter().flat_map(u32::to_ne_bytes).collect()
}

fn text(kind: u16, text: &str) -> DefaultNla {
    DefaultNla::new(kind, [text.as_bytes(), &[0]].concat())
}

fn nest(kind: u16, inner: &[DefaultNla]) -> DefaultNla {
    let mut bytes = vec![0; inner.buffer_len()];
    inner.emit(&mut bytes);
    DefaultNla::new(kind | NLA_F_NESTED, bytes)
}

/// What the kernel has there of itself, such as `noqueue`, has no number.
fn read_root(bytes: &[u8]) -> Result<Option<Root>, DecodeError> {
    if parse_u32(bytes.get(8..12).unwrap_or_default())? == 0 {
        return Ok(None);
    }
    let (mut kind, mut options) = (String::new(), &[][..]);
    for attribute in attributes(bytes.get(HEADER..).unwrap_or_default()) {
        match attribute? {
            (TCA_KIND, value) => kind = parse_string(value)?,
            (TCA_OPTIONS, value) => options = value,
            _ => {}
        }
    }
    let tbf = if kind == "tbf" { read_tbf(options)? } else { None };
    Ok(Some(Root { kind, tbf }))
}

fn read_tbf(options: &[u8]) -> Result<Option<(u64, u32)>, DecodeError> {
    let (mut found, mut large) = (None, None);
    for attribute in attributes(options) {
        match attribute? {
            (TCA_TBF_PARMS, value) => {
                let number = |at: usize| parse_u32(value.get(at..at + 4).unwrap_or_default());
                found = Some((u64::from(number(8)?), number(24)?));
            }
            (TCA_TBF_RATE64, value) => large = Some(parse_u64(value)?),
            _ => {}
        }
    }
    Ok(found.map(|(rate, limit)| (large.unwrap_or(rate), limit)))
}

/// Of a filter's actions those that redirect.
fn read_targets(bytes: &[u8]) -> Result<Vec<u32>, DecodeError> {
    let mut targets = Vec::new();
    for path in within(bytes.get(HEADER..).unwrap_or_default(), &[TCA_OPTIONS, TCA_U32_ACT])? {
        for action in attributes(path) {
            let (_, action) = action?;
            for parameters in within(action, &[TCA_ACT_OPTIONS, TCA_MIRRED_PARMS])? {
                targets.push(parse_u32(parameters.get(24..28).unwrap_or_default())?);
            }
        }
    }
    Ok(targets)
}

/// What is in the attributes of this kind, in those of the next kind, and so on.
fn within<'a>(bytes: &'a [u8], kinds: &[u16]) -> Result<Vec<&'a [u8]>, DecodeError> {
    let mut found = vec![bytes];
    for wanted in kinds {
        let mut inner = Vec::new();
        for bytes in found {
            for attribute in attributes(bytes) {
                let (kind, value) = attribute?;
                if kind & !NLA_F_NESTED == *wanted {
                    inner.push(value);
                }
            }
        }
        found = inner;
    }
    Ok(found)
}

/// The queue that we put before a link: `1:`.
const HANDLE: TcHandle = TcHandle { major: 1, minor: 0 };
/// The queue of what comes in, `ffff:`, which is the filters' parent.
const INGRESS: TcHandle = TcHandle { major: 0xffff, minor: 0 };
/// `struct tcmsg`.
const HEADER: usize = 20;

// linux/rtnetlink.h, linux/pkt_sched.h, linux/pkt_cls.h, linux/tc_act/tc_mirred.h, which libc lacks.
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
const TCA_U32_CLASSID: u16 = 1;
const TCA_U32_SEL: u16 = 5;
const TCA_U32_ACT: u16 = 7;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
