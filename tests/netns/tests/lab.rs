//! `sealane lab`: a machine that is gone when its command ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test without libtest's attribute")]
use netlab::{Lab, Namespaces, Snapshot, Terminal, sealane, soon, wait};
use nix::{
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

netlab::tests! {
    the_command_is_root_on_worker_1,
    a_lab_shares_no_namespace_with_the_machine,
    the_exit_status_is_the_commands,
    the_command_begins_with_no_signal_blocked_or_ignored,
    what_cannot_be_run_has_dockers_exit_status,
    standard_input_and_output_pass_through_byte_by_byte,
    a_lab_begins_with_empty_state,
    what_is_written_to_its_state_is_not_seen_outside,
    the_environment_that_moves_state_is_not_inherited,
    the_outside_machine_answers_in_both_families,
    hosts_reach_each_other_by_name_and_by_address,
    hosts_have_state_and_names_of_their_own,
    hosts_have_containers_of_their_own,
    a_command_on_another_host_gives_its_output_and_its_status,
    everything_is_gone_when_the_command_ends,
    everything_is_gone_after_a_signal,
    an_interrupted_command_can_clean_up_and_give_its_status,
    control_c_reaches_the_command_once,
    a_lab_in_a_lab_works_and_leaves_nothing,
    two_labs_do_not_see_each_other,
    the_shell_of_the_user_is_the_command_when_there_is_none,
    a_lab_leaves_no_trace_on_the_machine,
    a_lab_of_many_hosts_starts_and_ends,
    root_without_user_namespaces_has_labs_too,
    what_is_needed_below_var_lib_stays_in_sight,
    an_interactive_shell_has_the_terminal,
    what_comes_and_goes_on_an_interface_is_shown,
}

/// `sealane lab` with these arguments, its input and output in pipes.
fn start(arguments: &[&str], dir: &Path) -> Child {
    let mut command = sealane(dir);
    command.arg("lab").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How it ended, its output and its errors.
fn lab(arguments: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let output = start(arguments, dir.path()).wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// A terminal with this in it, in the surroundings of [`sealane`].
fn terminal(command: &str, dir: &Path) -> Terminal {
    let ours = sealane(dir);
    Terminal::start(command, |script| {
        script.env_remove("SEALANE_LAB");
        script.envs(ours.get_envs().filter_map(|(key, value)| Some((key, value?))));
    })
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

fn the_command_is_root_on_worker_1() {
    let lab = Lab::new();
    assert_eq!(lab.ok("id -u; hostname; echo $SEALANE_LAB"), "0\nworker-1\n1\n");
    assert_eq!(lab.ok("cat /etc/hostname"), "worker-1\n");
    let address = lab.ok("ip -brief address show dev eth0");
    assert!(address.contains("192.0.2.1/24") && address.contains("2001:db8::1/64"), "{address}");
    assert!(lab.ok("ip route").contains("default via 192.0.2.254 dev eth0"));
    assert!(lab.ok("ip -6 route").contains("default via 2001:db8::fe dev eth0"));
    assert!(lab.ok("ip -brief link show dev lo").contains("LOWER_UP"));
}

fn a_lab_shares_no_namespace_with_the_machine() {
    let lab = Lab::new();
    let inside = Namespaces::parse(&lab.ok("readlink /proc/self/ns/*"));
    assert_eq!(inside.shared_with(&Namespaces::of_this_process()), [""; 0]);
    let pids = lab.ok("ls /proc | grep -c '^[0-9]'");
    assert!(pids.trim().parse::<u32>().unwrap() < 20, "its /proc has its own processes alone: {pids}");
}

fn the_exit_status_is_the_commands() {
    for (script, status) in
        [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill $$", 143)]
    {
        assert_eq!(
            lab(&["--", "sh", "-c", script]),
            (Some(status), String::new(), String::new()),
            "{script}"
        );
    }
}

fn the_command_begins_with_no_signal_blocked_or_ignored() {
    // Above 31 are those that the C library has for itself, and leaves ignored.
    let masks = |status: &str| {
        let mask = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        ["SigBlk:", "SigIgn:"].map(|name| u64::from_str_radix(mask(name), 16).unwrap() & 0x7fff_ffff)
    };
    let ours = std::process::Command::new("cat").arg("/proc/self/status").output().unwrap();
    let ours = masks(&String::from_utf8(ours.stdout).unwrap());
    assert_eq!(masks(&lab(&["--", "cat", "/proc/self/status"]).1), ours);
    assert_eq!(masks(&lab(&["--", "sealane", "on", "outside", "cat", "/proc/self/status"]).1), ours);
    let run = "sealane run --rm --network none -- cat /proc/self/status";
    assert_eq!(masks(&lab(&["--", "sh", "-c", run]).1), ours);
    let exec = "sealane run -d --name c1 --network none && sealane exec c1 cat /proc/self/status";
    assert_eq!(masks(&lab(&["--", "sh", "-c", exec]).1), ours);
}

fn what_cannot_be_run_has_dockers_exit_status() {
    let (status, stdout, stderr) = lab(&["--", "no-such-command", "x"]);
    assert_eq!((status, &*stdout), (Some(127), ""));
    assert!(stderr.contains("no-such-command") && stderr.lines().count() == 2, "{stderr}");
    let (status, stdout, stderr) = lab(&["--", "/etc/passwd"]);
    assert_eq!((status, &*stdout), (Some(126), ""));
    assert!(stderr.contains("/etc/passwd") && stderr.lines().count() == 2, "{stderr}");
}

fn standard_input_and_output_pass_through_byte_by_byte() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = start(&["--", "sh", "-c", "cat; echo done >&2"], dir.path());
    let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let (mut stdin, bytes) = (child.stdin.take().unwrap(), sent.clone());
    let writer = thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.stdout == sent, "{} of {} bytes came back, or others", output.stdout.len(), sent.len());
    assert_eq!(output.stderr, b"done\n");
}

/// What tells the /run around the labs of these tests from that in them: of two tests that run at once the one must not see a
/// change that the other makes. This process's /run is its own.
fn mark_the_outside() {
    fs::write("/run/netlab-outside", "").unwrap();
}

fn a_lab_begins_with_empty_state() {
    mark_the_outside();
    let lab = Lab::new();
    for folder in ["/run", "/var/lib"] {
        let found = lab.ok(&format!("find {folder} -name 'netlab-*'"));
        assert_eq!(found, "", "{folder} is empty");
    }
    assert_eq!(lab.ok("find /etc/cni /var/lib/cni /var/lib/sealane /run/sealane -type f 2>/dev/null; :"), "");
    assert_eq!(lab.ok("ls -A /etc/cni/net.d"), "");
    assert_eq!(lab.ok("cat /etc/passwd"), fs::read_to_string("/etc/passwd").unwrap());
    assert!(lab.ok("cat /etc/hosts").contains("localhost"));
    assert_eq!(lab.ok("sealane ps --all --format json"), "");
}

fn what_is_written_to_its_state_is_not_seen_outside() {
    let lab = Lab::new();
    for path in ["/run/netlab-x", "/var/lib/cni/netlab-x", "/etc/netlab-x", "/etc/cni/net.d/netlab-x"] {
        lab.ok(&format!("mkdir -p $(dirname {path}) && echo inside > {path} && cat {path}"));
        assert!(!Path::new(path).exists(), "{path}");
    }
    let before = fs::read("/etc/hosts").unwrap();
    lab.ok("echo 1.2.3.4 netlab-x >> /etc/hosts && grep netlab-x /etc/hosts");
    assert_eq!(fs::read("/etc/hosts").unwrap(), before);
    lab.ok("mkdir $TMPDIR/here && mount -t tmpfs tmpfs $TMPDIR/here && touch $TMPDIR/here/netlab-x");
    assert!(!lab.dir().join("here/netlab-x").exists(), "what is mounted in it is not, either");
    lab.ok("ip link add netlab-x type bridge && hostname netlab-x");
    assert!(!Path::new("/sys/class/net/netlab-x").exists());
    assert_ne!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim(), "netlab-x");
}

fn the_environment_that_moves_state_is_not_inherited() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = sealane(dir.path());
    let moved =
        ["SEALANE_STATE_DIR", "SEALANE_DATA_DIR", "SEALANE_CNI_CACHE_DIR", "NETCONFPATH", "XDG_RUNTIME_DIR"];
    let named = ["CNI_COMMAND", "CNI_ARGS", "CNI_IFNAME", "CNI_NETNS", "CNI_CONTAINERID"];
    command.envs(moved.into_iter().chain(named).map(|name| (name, "/x"))).env("NETLAB_KEPT", "kept");
    let output = command.args(["lab", "--", "env"]).output().unwrap();
    let environment = String::from_utf8(output.stdout).unwrap();
    for name in moved.into_iter().chain(named) {
        assert!(
            !environment.lines().any(|line| line.starts_with(&format!("{name}="))),
            "{name}: {environment}"
        );
    }
    for line in ["NETLAB_KEPT=kept", "SEALANE_LAB=1"] {
        assert!(environment.lines().any(|other| other == line), "{line} is not in {environment}");
    }
    assert!(environment.contains("\nCNI_PATH=") || environment.starts_with("CNI_PATH="), "{environment}");
}

fn the_outside_machine_answers_in_both_families() {
    let lab = Lab::new();
    for address in ["192.0.2.254", "198.51.100.1", "2001:db8::fe", "2001:db8:1::1"] {
        lab.ok(&format!("ping -n -c 1 -w 60 {address}"));
    }
    assert_eq!(lab.ok("sealane on outside hostname"), "outside\n");
    lab.ok("sealane on outside ping -n -c 1 -w 60 192.0.2.1");
    assert_eq!(lab.ok("sealane on outside ip -brief address show dev lo | grep -c 198.51.100.1/32"), "1\n");
}

fn hosts_reach_each_other_by_name_and_by_address() {
    let lab = Lab::with_hosts(3);
    for address in ["192.0.2.2", "192.0.2.3", "2001:db8::2", "2001:db8::3", "worker-2", "worker-3", "outside"]
    {
        lab.ok(&format!("ping -c 1 -w 60 {address}"));
        lab.ok(&format!("sealane ping -c 1 -W 60 {address}"));
    }
    lab.ok("sealane on worker-3 ping -c 1 -w 60 worker-2");
    lab.ok("sealane on worker-3 ping -n -c 1 -w 60 198.51.100.1");
    lab.ok("sealane on outside ping -n -c 1 -w 60 192.0.2.3");
}

fn hosts_have_state_and_names_of_their_own() {
    let lab = Lab::with_hosts(3);
    for host in ["worker-1", "worker-2", "worker-3", "outside"] {
        assert_eq!(
            lab.ok(&format!("sealane on {host} sh -c 'hostname; cat /etc/hostname'")),
            format!("{host}\n{host}\n")
        );
        lab.ok(&format!("sealane on {host} sh -c 'mkdir -p /var/lib/cni; for d in /run /var/lib/cni /etc; do echo {host} > $d/mine; done'"));
        lab.ok(&format!("sealane on {host} ip link add mine type bridge"));
    }
    for host in ["worker-1", "worker-2", "worker-3", "outside"] {
        let mine = lab.ok(&format!("sealane on {host} cat /run/mine /var/lib/cni/mine /etc/mine"));
        assert_eq!(mine, format!("{host}\n").repeat(3));
    }
    assert_eq!(lab.ok("cat /run/mine"), "worker-1\n", "the command itself is on worker-1");
    for kind in ["net", "mnt", "uts"] {
        let inside = |host: &str| lab.ok(&format!("sealane on {host} readlink /proc/self/ns/{kind}"));
        let mut all: Vec<_> = ["worker-1", "worker-2", "worker-3", "outside"].map(inside).into();
        all.dedup();
        assert_eq!(all.len(), 4, "{all:?}");
    }
    let pid = lab.ok("sleep 1000 >&- 2>&- & echo $!");
    lab.ok(&format!("sealane on worker-2 kill {pid}"));
}

fn hosts_have_containers_of_their_own() {
    let lab = Lab::with_hosts(2);
    for host in ["worker-1", "worker-2"] {
        lab.ok(&format!("sealane on {host} sealane network create test --subnet 10.1.0.0/24"));
        lab.ok(&format!("sealane on {host} sealane run -d --name c1 --network test"));
        lab.ok(&format!("sealane on {host} sealane run -d --name of-{host} --network test"));
    }
    for (host, other) in [("worker-1", "worker-2"), ("worker-2", "worker-1")] {
        assert_eq!(lab.ok(&format!("sealane on {host} sealane ps -q")).lines().count(), 2);
        lab.ok(&format!("sealane on {host} sealane exec c1 ping -c 1 -w 60 of-{host}"));
        assert_ne!(
            lab.run(&format!("sealane on {host} sealane exec c1 sealane ping -c 1 of-{other}")).status,
            0
        );
        lab.ok(&format!("sealane on {host} sealane rm -f c1 of-{host}"));
        assert_eq!(lab.ok(&format!("sealane on {host} sealane ps -aq")), "");
    }
}

fn a_command_on_another_host_gives_its_output_and_its_status() {
    let lab = Lab::with_hosts(2);
    let said = lab.run("echo in | sealane on worker-2 sh -c 'cat; echo out; echo err >&2; exit 9'");
    assert_eq!((said.status, &*said.stdout, &*said.stderr), (9, "in\nout\n", "err\n"));
    assert_eq!(lab.run("sealane on worker-2 sh -c 'kill -9 $$'").status, 137);
    assert_eq!(lab.run("sealane on worker-2 no-such-command").status, 127);
    assert_eq!(lab.run("sealane on worker-2 /etc/passwd").status, 126);
    assert_eq!(lab.ok("cd /tmp && A=b sealane on worker-2 sh -c 'pwd; echo $A'"), "/tmp\nb\n");
}

fn everything_is_gone_when_the_command_ends() {
    let lab = Lab::with_hosts(2);
    lab.ok("sleep 1000 & setsid sleep 1001 & sealane on worker-2 setsid sleep 1002 >&- 2>&- &");
    lab.ok("ip netns add blue && ip netns exec blue sleep 1003 & sealane network create test");
    lab.ok("sealane run -d --name c1 --network test -- sleep 1004");
    let (status, left) = lab.end();
    assert_eq!((status.code(), left), (Some(0), vec![]));
}

fn everything_is_gone_after_a_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGKILL] {
        let lab = Lab::with_hosts(2);
        lab.ok("sleep 1000 & setsid sleep 1001 & sealane on worker-2 setsid sleep 1002 >&- 2>&- &");
        lab.ok("sealane network create test");
        lab.ok("sealane run -d --name c1 --network test -- sleep 1004");
        let (status, left) = lab.end_by(signal);
        let number = signal as i32;
        let ended = status.signal().or_else(|| status.code().map(|code| code - 128));
        assert_eq!((ended, left), (Some(number), vec![]), "{signal}: {status}");
    }
}

fn an_interrupted_command_can_clean_up_and_give_its_status() {
    let dir = tempfile::tempdir().unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let script =
            "trap 'sleep 0.2; echo cleaned; exit 3' INT TERM; echo ready; while :; do sleep 0.05; done";
        let mut child = start(&["--", "sh", "-c", script], dir.path());
        assert_eq!(line(&mut child), "ready");
        send(&child, signal);
        if wait(&mut child).is_none() {
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(3), &b"cleaned\n"[..]), "{signal}");
    }
}

/// At a terminal the kernel signals the whole foreground group; passed on as well, it would come twice.
fn control_c_reaches_the_command_once() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    // One at a time: of signals that come before a process has heard the first, it hears one.
    let text =
        "trap 'echo interrupted' INT; echo ready; while [ ! -e end ]; do sleep 0.1 & wait $!; done; exit 4";
    fs::write(&script, format!("cd {}; {text}", dir.path().display())).unwrap();
    let mut terminal = terminal(&format!("sealane lab -- sh {}", script.display()), dir.path());
    terminal.shows("ready", "");
    for time in 1..=5 {
        terminal.types("\x03");
        let heard = || terminal.screen().matches("interrupted").count();
        soon(|| heard() >= time);
        // What is heard twice is heard by now, on most machines.
        thread::sleep(Duration::from_millis(150));
        assert_eq!(heard(), time, "{}", terminal.screen());
    }
    fs::write(dir.path().join("end"), "").unwrap();
    let (status, screen) = terminal.end();
    assert_eq!(status.and_then(|status| status.code()), Some(4), "{screen}");
}

fn a_lab_in_a_lab_works_and_leaves_nothing() {
    let lab = Lab::new();
    lab.ok("sealane network create test --subnet 10.1.0.0/24");
    lab.ok("sealane run -d --name c1 --network test -- sleep 1000");
    // Whether a link is up by now, and has the address that comes with that, is not what matters.
    let look = "cat /proc/self/mountinfo; ip -o link | cut -d: -f 2; ip -o address show scope global | tr -s ' ' | cut -d' ' -f 2,4; ls /run";
    let before = lab.ok(look);
    let inner = "sealane network create test --subnet 10.1.0.0/24 && sealane run --rm --name c1 --network test -- \
                 ping -n -c 1 -w 60 10.1.0.1 && sealane ps -aq && ping -n -c 1 -w 60 198.51.100.1 && hostname && exit 6";
    let said = lab.run(&format!("sealane lab --hosts 2 -- sh -c '{inner}'"));
    assert!(said.status == 6 && said.stdout.ends_with("\nworker-1\n"), "{said:#?}");
    assert_eq!(lab.run("sealane lab -- sealane lab -- sealane lab -- sh -c 'exit 5'").status, 5);
    assert_eq!(lab.ok(look), before);
    assert_eq!(lab.end().1, [""; 0]);
}

fn two_labs_do_not_see_each_other() {
    let (one, two) = (Lab::new(), Lab::new());
    for lab in [&one, &two] {
        lab.ok("sealane network create test --subnet 10.1.0.0/24");
        lab.ok("sealane run -d --name c1 --network test -- sleep 1000");
        assert_eq!(lab.ok("sealane ps -q").lines().count(), 1);
    }
    assert_eq!(one.end().1, [""; 0]);
    two.ok("sealane exec c1 ping -n -c 1 -w 60 10.1.0.1");
}

fn the_shell_of_the_user_is_the_command_when_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    for (shell, status) in [(Some("/bin/false"), 1), (Some("/bin/sh"), 5), (None, 5)] {
        let mut command = sealane(dir.path());
        match shell {
            Some(shell) => command.env("SHELL", shell),
            None => command.env_remove("SHELL"),
        };
        let mut child = command.arg("lab").stdin(Stdio::piped()).spawn().unwrap();
        let _not_read = child.stdin.take().unwrap().write_all(b"exit 5\n");
        assert_eq!(child.wait().unwrap().code(), Some(status), "{shell:?}");
    }
}

fn a_lab_leaves_no_trace_on_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let look = || {
        let network = Snapshot::take(&[Path::new("/run")]).unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let names = |folder: &str| {
            let mut names: Vec<_> =
                fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        (network, mounts, names("/etc"), names("/var/lib"), names("/run"))
    };
    mark_the_outside();
    let before = look();
    let script = "sealane network create test && sealane run -d --name c1 --network test && \
                  sealane run --rm --network host -- true && touch /run/x /var/lib/x /etc/x";
    let output = start(&["--hosts", "2", "--", "sh", "-c", script], dir.path()).wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(before, look());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "TMPDIR is as empty as it was");
}

fn a_lab_of_many_hosts_starts_and_ends() {
    let lab = Lab::with_hosts(16);
    lab.ok("sealane on worker-16 ping -n -c 1 -w 60 192.0.2.1");
    assert_eq!(lab.end().1, [""; 0]);
}

/// A machine may forbid user namespaces; its root needs none.
fn root_without_user_namespaces_has_labs_too() {
    let outer = Lab::new();
    let allowed = "/proc/sys/user/max_user_namespaces";
    outer.ok(&format!("echo 0 > {allowed}"));
    assert!(outer.refused("unshare --user true").contains("unshare"));
    let said = outer.run("sealane lab -- sh -c 'id -u; ping -n -c 1 -w 60 198.51.100.1 >&2'");
    assert_eq!((said.status, &*said.stdout), (0, "0\n"), "{said:#?}");
}

/// Service accounts live there.
fn what_is_needed_below_var_lib_stays_in_sight() {
    let outer = Lab::new();
    outer.ok("mkdir -p /var/lib/account/work /var/lib/other && touch /var/lib/account/work/file");
    assert_eq!(
        outer.ok(
            "cd /var/lib/account/work && sealane lab -- sh -c 'pwd; ls; echo x > written; ls -A /var/lib'"
        ),
        "/var/lib/account/work\nfile\naccount\n"
    );
    assert_eq!(outer.ok("cat /var/lib/account/work/written"), "x\n", "it is the machine's own");
    assert_eq!(outer.ok("cd / && sealane lab -- ls -A /var/lib"), "");
}

fn an_interactive_shell_has_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let mut terminal = terminal("sealane lab -- bash --norc --noprofile -i", dir.path());
    // Control-C ends what runs in the foreground, and not the shell.
    terminal.shows("# ", "");
    terminal.shows("\nstarted", "echo started; sleep 1000\n");
    terminal.shows("^C", "\x03");
    // Jobs can be stopped, and be gone on with. This one ends when somebody has opened the other end.
    terminal.shows("\nagain", &format!("echo again; cat {}\n", fifo.display()));
    terminal.shows("Stopped", "\x1a");
    thread::spawn(move || fs::write(fifo, ""));
    terminal.shows("\n42 0", "fg; echo $((40 + 2)) $?\n");
    terminal.types("exit 9\n");
    let (status, screen) = terminal.end();
    assert!(!screen.contains("no job control") && !screen.contains("cannot set terminal"), "{screen}");
    assert_eq!(status.and_then(|status| status.code()), Some(9), "{screen}");
}

fn what_comes_and_goes_on_an_interface_is_shown() {
    let lab = Lab::new();
    // Who is new on a link tells so, and asks for others: some packets before the first echo.
    let pinging = "sealane ping -i 0.05 192.0.2.254 >/dev/null & trap 'kill $!' EXIT;";
    let shown = lab.ok(&format!("{pinging} sealane capture --count 40 eth0"));
    let packets: Vec<&str> = shown.split("\n\n").collect();
    assert_eq!(packets.len(), 40, "{shown}");
    assert!(shown.contains("IPv4      192.0.2.1 > 192.0.2.254\nICMP      echo request"), "{shown}");
    assert!(shown.lines().all(|line| !line.starts_with(' ')), "nothing is in a tunnel: {shown}");
    // Whoever has read enough is not written to any more.
    assert_eq!(lab.ok(&format!("{pinging} sealane capture eth0 | head -n 1")).lines().count(), 1);
    assert_eq!(lab.ok("sealane capture --timeout 0.1 --port 9 eth0"), "");
    let said = lab.run("sealane capture --timeout 0.1 --count 1 --port 9 eth0");
    assert_eq!(said.status, 1, "{said:?}");
    assert!(said.stderr.contains("0 packets") && said.stderr.contains("--timeout"), "{said:?}");
    for (interface, message) in [("eth9", "there is no interface eth9 here"), ("a/b", "a/b")] {
        let said = lab.refused(&format!("sealane capture {interface}"));
        assert!(said.contains(message) && said.contains("ls /sys/class/net"), "{said}");
    }
    // Nothing comes of port 9, so that it does not end by itself. In the background a signal that nobody waits for is lost.
    let listens = "until [ $(wc -l </proc/net/packet) -gt 1 ]; do sleep 0.01; done";
    let said =
        lab.run(&format!("sealane capture --count 3 --port 9 eth0 & {listens}; kill -INT $!; wait $!"));
    assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{said:?}");
}
