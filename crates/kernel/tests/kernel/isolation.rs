//! Namespaces of every kind, what is mounted in them, and the processes and signals of their starters.
use crate::{errno, found, trials};
use kernel::{
    Caught, Errno, Namespace, News, Pidfd, Signal, Signals, Surroundings, detached, isolate,
    mounts::{self, Kept},
    prepare, set_hostname, threads,
};
use libtest_mimic::Trial;
use netlab::Host;
use nix::sys::signal::raise;
use std::{
    fs,
    io::Write as _,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

pub(crate) fn trials() -> Vec<Trial> {
    trials![isolation:
        only_the_calling_thread_is_moved,
        the_next_child_is_the_first_process,
        a_processs_surroundings_are_entered,
        what_is_shared_need_not_be_entered,
        a_process_that_has_ended_is_not_entered,
        threads_are_known_by_name,
        what_lay_under_a_new_mount_is_put_back,
        a_mount_does_not_spread,
        what_is_kept_is_kept_with_all_mounts_below_it,
        nothing_is_kept_of_what_is_not_there,
        a_sysfs_shows_the_links_of_its_namespace,
        a_folder_is_read_only_for_those_inside_alone,
        a_signal_is_sent_to_a_process_that_lives_and_to_no_other,
        a_process_that_nobody_has_waited_for_has_ended,
        a_signal_is_read_instead_of_doing_its_work,
        the_end_of_a_process_comes_before_its_signals,
        a_line_wakes_who_waits,
        a_program_does_not_inherit_what_is_held_back,
    ]
}

/// The namespaces that the calling thread is in, of each kind but of the process IDs: that of its children has no file
/// before there is one.
fn own() -> [PathBuf; 4] {
    ["ipc", "mnt", "net", "uts"].map(|kind| fs::read_link(format!("/proc/thread-self/ns/{kind}")).unwrap())
}

/// Runs something in a thread with namespaces, a tree and held back signals of its own.
fn isolated<T: Send>(kinds: &[Namespace], work: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        isolate(kinds).unwrap();
        if kinds.contains(&Namespace::Mount) {
            mounts::keep_to_ourselves().unwrap();
        }
        work()
    };
    thread::scope(|scope| scope.spawn(inside).join()).unwrap()
}

const ALL: [Namespace; 5] =
    [Namespace::Ipc, Namespace::Mount, Namespace::Net, Namespace::Pid, Namespace::Uts];

/// A process that stays until it is killed, in namespaces of its own.
fn sleeper(kinds: &[Namespace]) -> Child {
    isolated(kinds, || Command::new("sleep").arg("1000").spawn().unwrap())
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn only_the_calling_thread_is_moved() {
    let before = own();
    let inside = isolated(&ALL, || {
        set_hostname("inside").unwrap();
        own()
    });
    assert_eq!(own(), before);
    for (inside, before) in inside.iter().zip(&before) {
        assert_ne!(inside, before);
    }
    assert_ne!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), "inside\n");
}

fn the_next_child_is_the_first_process() {
    let output = isolated(&[Namespace::Pid], || Command::new("sh").args(["-c", "echo $$"]).output().unwrap());
    assert_eq!(output.stdout, b"1\n");
}

fn a_processs_surroundings_are_entered() {
    let sleeper = sleeper(&ALL);
    let pid = sleeper.id();
    let theirs = |kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    let theirs = ["ipc", "mnt", "net", "uts"].map(theirs);
    // In a child, which has one thread: the mounts too.
    let mut child = detached("enter", &[], || {
        Surroundings::of(&Pidfd::open(pid)?)?.enter()?;
        if own() == theirs { Ok(()) } else { Err(found(Errno::EXDEV)) }
    })
    .unwrap();
    assert_eq!(child.failed_within(netlab::PATIENCE).unwrap(), None);
    end(sleeper);
}

fn what_is_shared_need_not_be_entered() {
    let sleeper = sleeper(&[]);
    let surroundings = Surroundings::of(&Pidfd::open(sleeper.id()).unwrap()).unwrap();
    let shown = format!("{surroundings:?}");
    assert!(!shown.contains("ns/"), "{shown}");
    end(sleeper);
}

fn a_process_that_has_ended_is_not_entered() {
    let mut child = Command::new("true").spawn().unwrap();
    let process = Pidfd::open(child.id()).unwrap();
    child.wait().unwrap();
    Surroundings::of(&process).unwrap_err();
}

fn threads_are_known_by_name() {
    let (tell, told) = mpsc::channel();
    let (until, end) = mpsc::channel::<()>();
    let thread = thread::Builder::new().name("outside".into()).spawn(move || {
        tell.send(nix::unistd::gettid()).unwrap();
        let _dropped = end.recv();
    });
    let id = told.recv().unwrap().as_raw().cast_unsigned();
    let threads = threads(std::process::id()).unwrap();
    assert!(threads.contains(&(id, "outside".into())), "{threads:?}");
    drop(until);
    thread.unwrap().join().unwrap();
}

/// A folder with a file that says `old`.
fn folder(host: &Host) -> PathBuf {
    let folder = host.dir().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), "old").unwrap();
    folder
}

fn what_lay_under_a_new_mount_is_put_back() {
    let host = Host::new().unwrap();
    let folder = folder(&host);
    isolated(&[Namespace::Mount], || {
        let kept = Kept::at(&folder).unwrap().unwrap();
        mounts::tmpfs(&folder).unwrap();
        assert!(!folder.join("file").exists(), "a new file system is empty");
        let below = folder.join("below");
        fs::create_dir(&below).unwrap();
        kept.put(&below).unwrap();
        // With the new mount in it, too, a bind would never end.
        assert_eq!(fs::read_to_string(below.join("file")).unwrap(), "old");
        assert!(!below.join("below").exists());
    });
}

fn a_mount_does_not_spread() {
    let host = Host::new().unwrap();
    let folder = folder(&host);
    isolated(&[Namespace::Mount], || {
        mounts::tmpfs(&folder).unwrap();
        fs::write(folder.join("new"), "").unwrap();
    });
    assert!(folder.join("file").exists() && !folder.join("new").exists());
}

fn what_is_kept_is_kept_with_all_mounts_below_it() {
    let host = Host::new().unwrap();
    let (folder, other) = (folder(&host), host.dir().join("other"));
    isolated(&[Namespace::Mount], || {
        let deep = folder.join("deep");
        fs::create_dir(&deep).unwrap();
        fs::create_dir(&other).unwrap();
        mounts::tmpfs(&deep).unwrap();
        fs::write(deep.join("mounted"), "").unwrap();
        Kept::at(&folder).unwrap().unwrap().put(&other).unwrap();
        assert!(other.join("deep/mounted").exists());
    });
}

fn nothing_is_kept_of_what_is_not_there() {
    assert!(Kept::at(Path::new("/nowhere")).unwrap().is_none());
    assert!(Kept::at(Path::new("/dev/null/x")).unwrap().is_none());
}

fn a_sysfs_shows_the_links_of_its_namespace() {
    let host = Host::new().unwrap();
    netlab::ip("link add seen type bridge").unwrap();
    let dir = host.dir().to_owned();
    let links = isolated(&[Namespace::Mount, Namespace::Net], || {
        mounts::sysfs(&dir).unwrap();
        fs::read_dir(dir.join("class/net")).unwrap().map(|link| link.unwrap().file_name()).collect::<Vec<_>>()
    });
    assert_eq!(links, ["lo"]);
}

fn a_folder_is_read_only_for_those_inside_alone() {
    let host = Host::new().unwrap();
    let folder = folder(&host);
    let file = folder.join("file");
    // Through the mount that is outside.
    let mut outside = fs::OpenOptions::new().write(true).open(&file).unwrap();
    isolated(&[Namespace::Mount], || {
        mounts::read_only(&folder).unwrap();
        assert_eq!(fs::write(&file, "x").unwrap_err().raw_os_error(), Some(Errno::EROFS as i32));
        outside.write_all(b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new", "what is changed outside is seen");
    });
    fs::write(&file, "x").unwrap();
}

fn a_signal_is_sent_to_a_process_that_lives_and_to_no_other() {
    let mut child = sleeper(&[]);
    let process = Pidfd::open(child.id()).unwrap();
    assert!(!process.has_ended().unwrap());
    assert!(process.send(Signal::SIGTERM).unwrap());
    child.wait().unwrap();
    assert!(!process.send(Signal::SIGTERM).unwrap(), "whoever has its number now gets nothing");
    assert_eq!(errno(Pidfd::open(child.id())), Errno::ESRCH);
}

fn a_process_that_nobody_has_waited_for_has_ended() {
    let mut child = Command::new("true").spawn().unwrap();
    let process = Pidfd::open(child.id()).unwrap();
    assert!(netlab::soon(|| process.has_ended().unwrap()));
    child.wait().unwrap();
}

/// To this thread, and not to the whole process: it would reach a test that does not expect it.
fn a_signal_is_read_instead_of_doing_its_work() {
    isolated(&[], || {
        let signals = Signals::catch(&[Signal::SIGUSR1, Signal::SIGTERM]).unwrap();
        assert_eq!(signals.pending().unwrap(), None);
        raise(Signal::SIGTERM).unwrap();
        assert_eq!(signals.wait().unwrap(), Caught { signal: Signal::SIGTERM, from_terminal: false });
        assert_eq!(signals.pending().unwrap(), None);
    });
}

fn the_end_of_a_process_comes_before_its_signals() {
    isolated(&[], || {
        let signals = Signals::catch(&[Signal::SIGUSR1]).unwrap();
        let child = sleeper(&[]);
        let process = Pidfd::open(child.id()).unwrap();
        raise(Signal::SIGUSR1).unwrap();
        let caught = Caught { signal: Signal::SIGUSR1, from_terminal: false };
        assert_eq!(signals.wait_or(&process, None).unwrap(), News::Signal(caught));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(50));
                process.send(Signal::SIGKILL).unwrap();
            });
            assert_eq!(signals.wait_or(&process, None).unwrap(), News::Ended);
        });
        raise(Signal::SIGUSR1).unwrap();
        assert_eq!(signals.wait_or(&process, None).unwrap(), News::Ended, "there is nobody to pass it on to");
        end(child);
    });
}

fn a_line_wakes_who_waits() {
    isolated(&[], || {
        let signals = Signals::catch(&[Signal::SIGUSR1]).unwrap();
        let child = sleeper(&[]);
        let process = Pidfd::open(child.id()).unwrap();
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        theirs.write_all(b"x").unwrap();
        assert_eq!(signals.wait_or(&process, Some(ours.as_fd())).unwrap(), News::Line);
        end(child);
    });
}

fn a_program_does_not_inherit_what_is_held_back() {
    isolated(&[], || {
        let _signals = Signals::catch(&[Signal::SIGTERM]).unwrap();
        let blocked = |prepared: bool| {
            let mut command = Command::new("grep");
            command.args(["SigBlk", "/proc/self/status"]).stdin(Stdio::null());
            if prepared {
                prepare(&mut command, None);
            }
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        let nothing = "SigBlk:\t0000000000000000\n";
        assert_ne!(blocked(false), nothing, "this is why it has to be said");
        assert_eq!(blocked(true), nothing);
    });
}
