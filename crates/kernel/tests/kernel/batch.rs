//! Many messages at once.
use crate::{bridge, errno, found, mac, name, send, trials};
use kernel::{Answer, Errno, Error, Rtnl, link};
use libtest_mimic::Trial;
use netlab::Host;
use nix::{
    sched::{CloneFlags, unshare},
    sys::socket::{self, MsgFlags},
};
use std::{
    error::Error as _,
    os::fd::{AsFd, AsRawFd},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials![batch:
        one_failure_in_the_middle_is_told_of_that_one_alone,
        a_failure_at_the_end_is_told,
        a_batch_of_nothing_succeeds,
        the_kernels_own_words_are_passed_on,
        answers_that_were_lost_are_no_success,
        a_socket_stays_with_the_namespace_it_was_opened_in,
        an_answer_to_an_earlier_request_is_passed_over,
        without_rights_everything_is_refused_with_the_capability_named,
    ]
}

fn one_failure_in_the_middle_is_told_of_that_one_alone() {
    let _host = Host::new().unwrap();
    let mut rtnl = Rtnl::open().unwrap();
    bridge(&mut rtnl, "b1");
    let messages = ["b0", "b1", "b2"].map(|text| link::bridge(&name(text), mac(1), None));
    let quiet = ["b0", "gone", "b2"].map(|text| link::delete(&name(text)));
    for _ in 0..2 {
        let outcomes = rtnl.transact(&quiet).unwrap();
        assert_eq!(outcomes.len(), 3);
        assert!(outcomes.iter().all(Result::is_err), "nothing is there yet");
    }

    let outcomes = rtnl.transact(&messages).unwrap();
    let made: Vec<_> = outcomes
        .iter()
        .map(|o| o.as_ref().ok().and_then(|a| a.link.as_ref()).map(|l| l.name.to_string()))
        .collect();
    assert_eq!(made, [Some("b0".to_owned()), None, Some("b2".to_owned())]);
    let refused = outcomes.into_iter().nth(1).unwrap().unwrap_err();
    assert_eq!(refused.to_string(), "the kernel refused to create bridge b1");
    assert_eq!(refused.errno(), Some(Errno::EEXIST));

    let mut outcomes = rtnl.transact(&quiet).unwrap();
    assert_eq!(errno(outcomes.remove(1)), Errno::ENODEV);
    for outcome in outcomes {
        assert_eq!(outcome.unwrap(), Answer::default());
    }
    for made in ["b0", "b2"] {
        assert!(link::lookup(&mut rtnl, &name(made)).unwrap().is_none(), "{made} was to be deleted");
    }
}

fn a_failure_at_the_end_is_told() {
    let _host = Host::new().unwrap();
    let mut rtnl = Rtnl::open().unwrap();
    let made = bridge(&mut rtnl, "b0");
    let outcomes = rtnl.transact(&[link::set_up(made.index), link::delete(&name("b1"))]).unwrap();
    let [first, last]: [_; 2] = outcomes.try_into().unwrap();
    assert!(first.is_ok());
    assert_eq!(errno(last), Errno::ENODEV);
}

fn a_batch_of_nothing_succeeds() {
    assert!(Rtnl::open().unwrap().transact(&[]).unwrap().is_empty());
}

fn the_kernels_own_words_are_passed_on() {
    let _host = Host::new().unwrap();
    let mut rtnl = Rtnl::open().unwrap();
    let refused = send(&mut rtnl, link::bridge(&name("b0"), mac(1), Some(70_000))).unwrap_err();
    let words = refused.source().unwrap().to_string();
    assert!(words.contains("mtu greater than device maximum"), "{words}");
}

fn answers_that_were_lost_are_no_success() {
    let _host = Host::new().unwrap();
    let mut rtnl = Rtnl::open().unwrap();
    // Each refusal is an answer; this many do not fit into the socket's buffer.
    let messages = vec![link::delete(&name("gone")); 1000];
    match rtnl.transact(&messages) {
        Err(Error::Unanswered { .. }) => {}
        Ok(outcomes) => assert!(outcomes.iter().all(Result::is_err), "the buffer is larger than it was"),
        Err(other) => panic!("{other}"),
    }
    // What is still in the buffer is not taken for the answer to the next.
    bridge(&mut rtnl, "b0");
    assert_eq!(link::links(&mut rtnl).unwrap().len(), 2);
}

fn a_socket_stays_with_the_namespace_it_was_opened_in() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let netns = kernel::Netns::open(container.netns()).unwrap();
    let mut inside = netns.run(Rtnl::open).unwrap().unwrap();
    bridge(&mut inside, "b0");
    assert!(!link::exists(&name("b0")).unwrap());
    assert!(netns.run(|| link::exists(&name("b0"))).unwrap().unwrap());
}

fn without_rights_everything_is_refused_with_the_capability_named() {
    let _host = Host::new().unwrap();
    // Root of a new user namespace has no rights in the network namespace of the old one. Only a process with one
    // thread can make one: a child.
    let mut child = kernel::detached("be refused", &[], || {
        unshare(CloneFlags::CLONE_NEWUSER).map_err(found)?;
        match Rtnl::open()?.transact(&[link::delete(&name("lo"))])?.remove(0) {
            Err(error) if error.hint().is_some_and(|hint| hint.contains("CAP_NET_ADMIN")) => Err(error),
            _ => Ok(()),
        }
    })
    .unwrap();
    assert_eq!(child.failed_within(netlab::PATIENCE).unwrap(), Some(Errno::EPERM));
}

fn an_answer_to_an_earlier_request_is_passed_over() {
    let _host = Host::new().unwrap();
    let mut rtnl = Rtnl::open().unwrap();
    leave_an_answer_behind(&rtnl);
    bridge(&mut rtnl, "b0");
    leave_an_answer_behind(&rtnl);
    assert_eq!(link::links(&mut rtnl).unwrap().len(), 2);
}

/// Asks to delete no link at all, under a number that no other request has, and does not read the refusal.
fn leave_an_answer_behind(rtnl: &Rtnl) {
    let mut request = [0u8; 32];
    request[0] = 32;
    request[4] = 17; // RTM_DELLINK
    request[6] = 5; // NLM_F_REQUEST | NLM_F_ACK
    request[8..12].copy_from_slice(&0x0bad_cafe_u32.to_ne_bytes());
    socket::send(rtnl.as_fd().as_raw_fd(), &request, MsgFlags::empty()).unwrap();
}
