//! Network namespaces.
use crate::trials;
use kernel::{Errno, Error, Netns, NetnsId, Rtnl, netns_cookie};
use libtest_mimic::Trial;
use netlab::{Container, Host};
use std::{fs, path::Path};

pub(crate) fn trials() -> Vec<Trial> {
    trials![netns:
        the_thread_comes_back_whatever_was_done_inside,
        a_namespace_is_known_by_any_of_its_files,
        a_namespace_with_the_inode_of_a_dead_one_is_another,
        what_is_told_of_a_namespace_from_outside_is_its_cookie,
        an_id_is_written_with_its_cookie_and_read_without,
        what_is_no_network_namespace_is_refused,
        a_namespace_stays_while_it_is_held,
        a_socket_tells_which_namespace_it_is_in_wherever_the_thread_is,
    ]
}

/// The inode of the thread's namespace.
fn here() -> u64 {
    Netns::current().unwrap().id().ino
}

fn the_thread_comes_back_whatever_was_done_inside() {
    let host = Host::new().unwrap();
    let (home, netns) = (here(), Netns::open(host.container().unwrap().netns()).unwrap());
    assert_eq!(netns.run(here).unwrap(), netns.id().ino);
    assert_eq!(here(), home);
    assert_eq!(netns.run(|| Err::<(), _>("no")).unwrap(), Err("no"));
    assert_eq!(here(), home);
    let unwound =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| netns.run(|| panic!("on purpose"))));
    assert!(unwound.is_err());
    assert_eq!(here(), home);
}

fn a_namespace_is_known_by_any_of_its_files() {
    let host = Host::new().unwrap();
    let (one, two) = (host.container().unwrap(), host.container().unwrap());
    let open = |path: &Path| Netns::open(path).unwrap();
    let id = with_cookie(&open(one.netns()));
    let by_process = one.exec(|| Netns::current().unwrap()).unwrap();
    assert!(open(one.netns()).is(&id) && by_process.is(&id));
    assert!(!open(two.netns()).is(&id) && !with_cookie(&open(two.netns())).may_be(&id));
    let ino = fs::read_link("/proc/thread-self/ns/net").unwrap();
    assert_eq!(ino.to_str().unwrap(), format!("net:[{}]", here()));
}

fn a_namespace_with_the_inode_of_a_dead_one_is_another() {
    let host = Host::new().unwrap();
    let home = here();
    let id = |container: &Container| with_cookie(&Netns::open(container.netns()).unwrap());
    let (container, dead) = host.reborn(id, |_, _| ()).unwrap();
    let netns = Netns::open(container.netns()).unwrap();
    let id = with_cookie(&netns);
    assert_eq!((id.dev, id.ino), (dead.dev, dead.ino));
    assert!(netns.is(&id) && !netns.is(&dead) && !id.may_be(&dead));
    assert_eq!(here(), home);
    let by_inode = NetnsId { cookie: None, ..dead };
    assert!(netns.is(&by_inode) && by_inode.may_be(&dead), "where no cookie is known, the inode decides");
}

/// Former releases write and read the same without the last field.
fn an_id_is_written_with_its_cookie_and_read_without() {
    let id = NetnsId { dev: 4, ino: 4_026_531_840, cookie: Some(7) };
    let text = r#"{"dev":4,"ino":4026531840,"cookie":7}"#;
    assert_eq!(serde_json::to_string(&id).unwrap(), text);
    assert_eq!(serde_json::from_str::<NetnsId>(text).unwrap().cookie, Some(7));
    let text = r#"{"dev":4,"ino":4026531840}"#;
    assert_eq!(serde_json::to_string(&serde_json::from_str::<NetnsId>(text).unwrap()).unwrap(), text);
}

/// With the cookie that a socket inside has.
fn with_cookie(netns: &Netns) -> NetnsId {
    let cookie = netns_cookie(netns.run(|| Rtnl::open().unwrap()).unwrap()).unwrap();
    assert!(cookie.is_some(), "Linux 5.14 or newer");
    NetnsId { cookie, ..netns.id() }
}

fn what_is_told_of_a_namespace_from_outside_is_its_cookie() {
    let host = Host::new().unwrap();
    let netns = Netns::open(host.container().unwrap().netns()).unwrap();
    match netns.id().cookie {
        Some(cookie) => assert_eq!(Some(cookie), with_cookie(&netns).cookie),
        None => eprintln!("not tested: this kernel tells it inside only"),
    }
}

fn a_socket_tells_which_namespace_it_is_in_wherever_the_thread_is() {
    let host = Host::new().unwrap();
    let netns = Netns::open(host.container().unwrap().netns()).unwrap();
    let (home, inside) = (Rtnl::open().unwrap(), netns.run(|| Rtnl::open().unwrap()).unwrap());
    let cookie = |socket| netns_cookie(socket).unwrap();
    assert_ne!(cookie(&home), cookie(&inside));
    assert_eq!(netns.run(|| cookie(&home)).unwrap(), cookie(&home));
    assert_eq!(cookie(&netns.run(|| Rtnl::open().unwrap()).unwrap()), cookie(&inside));
}

fn what_is_no_network_namespace_is_refused() {
    let host = Host::new().unwrap();
    let (file, fifo) = (host.dir().join("file"), host.dir().join("fifo"));
    fs::write(&file, "").unwrap();
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [&file, &fifo, host.dir(), Path::new("/proc/self/ns/mnt"), Path::new("/dev/null")] {
        match Netns::open(path) {
            Err(error @ Error::NotNetns { .. }) => {
                assert_eq!(error.to_string(), format!("{} is not a network namespace", path.display()));
            }
            other => panic!("{}: {other:?}", path.display()),
        }
    }
    let gone = host.dir().join("gone");
    let error = Netns::open(&gone).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOENT));
    assert!(error.to_string().contains(gone.to_str().unwrap()));
}

fn a_namespace_stays_while_it_is_held() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let netns = Netns::open(container.netns()).unwrap();
    container.kill().unwrap();
    assert_eq!(netns.run(here).unwrap(), netns.id().ino);
}
