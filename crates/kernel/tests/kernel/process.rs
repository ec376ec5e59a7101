//! The detached child, and deletion by it.
use crate::{bridge, found, name, trials, veth};
use kernel::{Detached, Errno, Error, Netns, Rtnl, attended, detached, link, unlink_link};
use libtest_mimic::Trial;
use netlab::{Host, PATIENCE};
use nix::{
    sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask},
    unistd::{alarm, getpid, getppid, getsid, pause, pipe, read},
};
use std::{
    env, fs,
    os::fd::{AsFd, AsRawFd},
    path::Path,
    thread,
    time::{Duration, Instant},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials![process:
        a_deleted_links_name_is_free_at_once,
        waiting_needs_no_child,
        a_link_that_is_not_there_needs_no_child,
        a_link_in_a_container_is_deleted_from_inside,
        a_refusal_reaches_the_parent_either_way,
        an_error_of_the_childs_reaches_the_parent,
        a_child_that_is_at_work_is_no_failure,
        a_child_that_was_killed_is_an_error,
        a_child_is_cut_off_from_its_parent,
        a_child_has_a_minute,
        one_that_is_waited_for_has_ended_when_it_is_late_or_done_or_refused,
        a_child_that_has_ended_is_taken_off_the_process_table,
    ]
}

/// The children of this thread, dead or alive.
fn children() -> usize {
    let listed = fs::read_to_string("/proc/thread-self/children").unwrap();
    listed.split_whitespace().count()
}

fn outcome(child: &mut Detached) -> Result<Option<Errno>, Error> {
    child.failed_within(PATIENCE)
}

fn a_deleted_links_name_is_free_at_once() {
    let host = Host::new().unwrap();
    let before = host.snapshot().unwrap();
    let container = host.container().unwrap();
    for _ in 0..5 {
        let mut rtnl = Rtnl::open().unwrap();
        veth(&mut rtnl, &container, None); // the name must be free at once, or this fails
        unlink_link(rtnl, &name("v0"), false).unwrap();
        assert!(!link::exists(&name("v0")).unwrap());
        assert_eq!(host.changes_since(&before).unwrap(), "");
    }
    // One that has ended before anybody looks is not seen.
    assert!(
        netlab::soon(|| {
            let mut rtnl = Rtnl::open().unwrap();
            veth(&mut rtnl, &container, None);
            unlink_link(rtnl, &name("v0"), false).unwrap();
            children() > 0
        }),
        "the wait was left to a child"
    );
}

fn waiting_needs_no_child() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let before = children();
    let mut rtnl = Rtnl::open().unwrap();
    veth(&mut rtnl, &container, None);
    unlink_link(rtnl, &name("v0"), true).unwrap();
    assert!(!link::exists(&name("v0")).unwrap());
    unlink_link(Rtnl::open().unwrap(), &name("v0"), true).unwrap();
    assert_eq!(children(), before);
}

fn a_link_that_is_not_there_needs_no_child() {
    let _host = Host::new().unwrap();
    let before = children();
    for _ in 0..2 {
        unlink_link(Rtnl::open().unwrap(), &name("v0"), false).unwrap();
    }
    assert_eq!(children(), before);
}

fn a_link_in_a_container_is_deleted_from_inside() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    veth(&mut Rtnl::open().unwrap(), &container, None);
    let netns = Netns::open(container.netns()).unwrap();
    netns.run(|| unlink_link(Rtnl::open()?, &name("eth0"), false)).unwrap().unwrap();
    assert!(!link::exists(&name("v0")).unwrap());
}

fn a_refusal_reaches_the_parent_either_way() {
    let _host = Host::new().unwrap();
    for wait in [true, false] {
        let error = unlink_link(Rtnl::open().unwrap(), &name("lo"), wait).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EOPNOTSUPP), "{error}");
        assert!(error.to_string().contains("delete link lo"), "{error}");
    }
}

fn an_error_of_the_childs_reaches_the_parent() {
    let _host = Host::new().unwrap();
    let mut child = detached("fail", &[], || Err(found(Errno::EXDEV))).unwrap();
    assert_eq!(outcome(&mut child).unwrap(), Some(Errno::EXDEV));
    assert_eq!(outcome(&mut child).unwrap(), Some(Errno::EXDEV), "it is told as often as it is asked for");
    let mut child = detached("do well", &[], || Ok(())).unwrap();
    assert_eq!(outcome(&mut child).unwrap(), None);
}

fn a_child_that_is_at_work_is_no_failure() {
    let _host = Host::new().unwrap();
    let (until, end) = pipe().unwrap();
    let mut child = detached("wait to be told", &[until.as_raw_fd()], || {
        let _told = read(&until, &mut [0]);
        Err(found(Errno::EXDEV))
    })
    .unwrap();
    // Whoever waited here for the child's end would wait for ever.
    assert_eq!(child.failed_within(Duration::from_micros(100)).unwrap(), None);
    drop(end);
    assert_eq!(outcome(&mut child).unwrap(), Some(Errno::EXDEV));
}

fn a_child_that_was_killed_is_an_error() {
    let _host = Host::new().unwrap();
    let mut child = detached("be killed", &[], || {
        let _ = kill(getpid(), Signal::SIGKILL);
        Ok(())
    })
    .unwrap();
    let error = outcome(&mut child).unwrap_err();
    assert_eq!(error.to_string(), "the detached process that was to be killed was killed");
}

fn a_child_is_cut_off_from_its_parent() {
    let host = Host::new().unwrap();
    let (secret, kept) = (fs::File::open(host.dir()).unwrap(), Rtnl::open().unwrap());
    let (secret, kept) = (secret.as_raw_fd(), kept.as_fd().as_raw_fd());
    let parent = getpid();
    let mut child = detached("look around", &[kept], || {
        if getppid() != parent || getsid(None) != Ok(getpid()) {
            return Err(found(Errno::ECHILD));
        }
        if env::current_dir().ok().as_deref() != Some(Path::new("/")) {
            return Err(found(Errno::ENOTDIR));
        }
        let is_open = |fd: i32| fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok();
        if is_open(secret) || is_open(1) {
            return Err(found(Errno::EBADF));
        }
        if !is_open(kept) {
            return Err(found(Errno::ENOTCONN));
        }
        // The kept one, the report's, and the folder that is being read.
        let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        if open == 3 { Ok(()) } else { Err(found(Errno::EMFILE)) }
    })
    .unwrap();
    assert_eq!(outcome(&mut child).unwrap(), None);
}

fn a_child_has_a_minute() {
    let _host = Host::new().unwrap();
    let mut alarm = SigSet::empty();
    alarm.add(Signal::SIGALRM);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&alarm), None).unwrap();
    let start = Instant::now();
    let mut child = detached("be ended by the alarm", &[], || {
        let left = u64::from(alarm::set(1).unwrap_or_default());
        // By a second less than was left, as alarms are told in whole ones.
        if left > 60 || left + start.elapsed().as_secs() < 59 {
            return Err(found(Errno::ETIME));
        }
        thread::sleep(PATIENCE);
        Ok(())
    })
    .unwrap();
    sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&alarm), None).unwrap();
    assert!(matches!(outcome(&mut child), Err(Error::Killed { .. })));
}

fn one_that_is_waited_for_has_ended_when_it_is_late_or_done_or_refused() {
    let _host = Host::new().unwrap();
    let before = children();
    let attend = |limit, work: fn() -> Result<(), Error>| {
        let outcome = attended("tarry", &[], limit, work);
        assert_eq!(children(), before, "neither alive nor dead is one left");
        outcome
    };
    let late = attend(Duration::from_millis(1), || {
        loop {
            pause();
        }
    });
    assert!(matches!(&late, Err(Error::TimedOut { what, .. }) if what == "tarry"), "{late:?}");
    assert_eq!(attend(PATIENCE, || Ok(())).unwrap(), None);
    assert_eq!(attend(PATIENCE, || Err(found(Errno::EXDEV))).unwrap(), Some(Errno::EXDEV));
}

fn a_child_that_has_ended_is_taken_off_the_process_table() {
    let _host = Host::new().unwrap();
    bridge(&mut Rtnl::open().unwrap(), "b0");
    let before = children();
    let mut child = detached("do well", &[], || Ok(())).unwrap();
    assert_eq!(children(), before + 1);
    assert_eq!(outcome(&mut child).unwrap(), None);
    // From the report to the end it is a few instructions more.
    let number = fs::read_to_string("/proc/thread-self/children").unwrap();
    let number = number.split_whitespace().last().unwrap();
    let has_ended = || fs::read_to_string(format!("/proc/{number}/stat")).unwrap().contains(") Z ");
    assert!(netlab::soon(has_ended));
    drop(child);
    assert_eq!(children(), before);
}
