//! What comes back on a netlink socket, taken apart as far as it is wanted (netlink(7)).
//!
//! Answers are read attribute by attribute: a newer kernel's unknown ones must not make a known one unreadable.
use crate::Refusal;
use netlink_packet_core::{
    DecodeError, NLA_HEADER_SIZE, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR,
    NetlinkBuffer, NlasIterator, parse_i32, parse_string, parse_u32,
};
use nix::errno::Errno;

/// One message of the kernel's.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    /// The number of the request it answers.
    pub(crate) sequence: u32,
    /// Whether the list it is part of changed while it was read.
    pub(crate) interrupted: bool,
    pub(crate) body: Body<'a>,
}

#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// The end of a request or of a list: done, or refused.
    Outcome(Result<(), Refusal>),
    /// A link, address or route: an `RTM_*` number and what follows the header.
    Object(u16, &'a [u8]),
}

/// Takes the first message off what was received.
pub(crate) fn next<'a>(rest: &mut &'a [u8]) -> Option<Result<Reply<'a>, DecodeError>> {
    if rest.is_empty() {
        return None;
    }
    let bytes = *rest;
    let reply = NetlinkBuffer::new_checked(bytes).and_then(|message| {
        let length = message.length() as usize;
        *rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        let body = match message.message_type() {
            NLMSG_DONE | NLMSG_ERROR => Body::Outcome(outcome(&message)?),
            kind => Body::Object(kind, message.payload()),
        };
        let interrupted = message.flags() & NLM_F_DUMP_INTR != 0;
        Ok(Reply { sequence: message.sequence_number(), interrupted, body })
    });
    if reply.is_err() {
        *rest = &[]; // where the next one starts is anyone's guess
    }
    Some(reply)
}

/// `struct nlmsgerr` (`linux/netlink.h`): the error as a negative number, the request's header, the request itself
/// unless capped, then attributes. A list's end has the number and the attributes only.
fn outcome(message: &NetlinkBuffer<&[u8]>) -> Result<Result<(), Refusal>, DecodeError> {
    let (code, rest) = message.payload().split_at_checked(4).unwrap_or_default();
    let code = if code.is_empty() { 0 } else { parse_i32(code)? };
    if code == 0 {
        return Ok(Ok(()));
    }
    let skip = match message.message_type() {
        NLMSG_DONE => 0,
        _ if message.flags() & NLM_F_CAPPED != 0 => 16,
        _ => parse_u32(rest.get(..4).unwrap_or_default())?.next_multiple_of(4) as usize,
    };
    let mut extack = None;
    if message.flags() & NLM_F_ACK_TLVS != 0 {
        for attribute in attributes(rest.get(skip..).unwrap_or_default()) {
            let (kind, value) = attribute?;
            if kind == NLMSGERR_ATTR_MSG {
                extack = Some(parse_string(value)?);
            }
        }
    }
    Ok(Err(Refusal { errno: Errno::from_raw(code.saturating_neg()), extack }))
}

const NLMSGERR_ATTR_MSG: u16 = 1;

/// The attributes in these bytes, each as its number and its value.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), DecodeError>> {
    NlasIterator::new(bytes).map(|attribute| {
        let attribute = attribute?;
        let value = NLA_HEADER_SIZE..usize::from(attribute.length());
        Ok((attribute.kind(), attribute.into_inner().get(value).unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An `NLMSG_ERROR` of sequence 7 for a 20-byte request, with this error number and attributes.
    fn error(code: i32, flags: u16, request: &[u8], tlvs: &[u8]) -> Vec<u8> {
        let mut payload = code.to_ne_bytes().to_vec();
        payload.extend(20u32.to_ne_bytes());
        payload.extend([0; 12]);
        payload.extend(request);
        payload.extend(tlvs);
        let mut message = u32::try_from(16 + payload.len()).unwrap().to_ne_bytes().to_vec();
        message.extend(NLMSG_ERROR.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(7u32.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend(payload);
        message
    }

    fn refusal(bytes: &[u8]) -> Refusal {
        match next(&mut &bytes[..]).unwrap().unwrap().body {
            Body::Outcome(Err(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_kernels_words_are_found_behind_a_whole_and_a_capped_request() {
        let tlv = [7, 0, 1, 0, b'n', b'o', 0, 0];
        let whole = error(-17, NLM_F_ACK_TLVS, &[0; 4], &tlv);
        let capped = error(-17, NLM_F_ACK_TLVS | NLM_F_CAPPED, &[], &tlv);
        let expected = Refusal { errno: Errno::EEXIST, extack: Some("no".into()) };
        assert_eq!(refusal(&whole), expected);
        assert_eq!(refusal(&capped), expected);
        assert_eq!(refusal(&error(-17, 0, &[0; 4], &[])), Refusal { extack: None, ..expected });
    }

    #[test]
    fn bytes_that_are_no_message_are_an_error_and_then_the_end() {
        for bytes in [&[1u8, 2, 3][..], &[0; 16], &[255; 40]] {
            let mut rest = bytes;
            assert!(next(&mut rest).unwrap().is_err());
            assert!(next(&mut rest).is_none());
        }
    }

    #[test]
    fn two_messages_of_one_datagram_are_taken_apart() {
        let mut both = error(0, 0, &[0; 4], &[]);
        both.extend(error(-1, 0, &[0; 4], &[]));
        let mut rest = &both[..];
        assert!(matches!(next(&mut rest).unwrap().unwrap().body, Body::Outcome(Ok(()))));
        assert!(matches!(next(&mut rest).unwrap().unwrap().body, Body::Outcome(Err(_))));
        assert!(next(&mut rest).is_none());
    }
}
