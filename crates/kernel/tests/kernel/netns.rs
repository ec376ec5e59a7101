//! Network namespaces.
use crate::trials;
use kernel::{Errno, Error, Netns, Rtnl, netns_cookie};
use libtest_mimic::Trial;
use netlab::Host;
use std::{fs, path::Path};

pub(crate) fn trials() -> Vec<Trial> {
    trials![netns:
        the_thread_comes_back_whatever_was_done_inside,
        a_namespace_is_known_by_any_of_its_files,
        what_is_no_network_namespace_is_refused,
        a_namespace_stays_while_it_is_held,
        a_socket_tells_which_namespace_it_is_in_wherever_the_thread_is,
    ]
}

fn here() -> kernel::NetnsId {
    Netns::current().unwrap().id()
}

fn the_thread_comes_back_whatever_was_done_inside() {
    let host = Host::new().unwrap();
    let (home, netns) = (here(), Netns::open(host.container().unwrap().netns()).unwrap());
    assert_eq!(netns.run(here).unwrap(), netns.id());
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
    let id = |path: &Path| Netns::open(path).unwrap().id();
    assert_eq!(id(one.netns()), id(one.netns()));
    assert_ne!(id(one.netns()), id(two.netns()));
    let (id, ino) = (here(), fs::read_link("/proc/thread-self/ns/net").unwrap());
    assert_eq!(ino.to_str().unwrap(), format!("net:[{}]", id.ino));
    let text = serde_json::to_string(&id).unwrap();
    assert_eq!(text, format!(r#"{{"dev":{},"ino":{}}}"#, id.dev, id.ino));
    assert_eq!(serde_json::from_str::<kernel::NetnsId>(&text).unwrap(), id);
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
    assert_eq!(netns.run(here).unwrap(), netns.id());
}
