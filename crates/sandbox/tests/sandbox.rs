//! Sandboxes on a real kernel. This program plays all parts: called as `sealane-init` it is one, and with [`PART`] in its
//! environment a process that starts or enters one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests without libtest's attribute"
)]
use netlab::{Terminal, trial};
use sandbox::{Error, Exit, INIT, Output, Sandbox, Signal, Spec};
use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

/// What this program is to be, if not the tests.
const PART: &str = "SANDBOX_PART";

macro_rules! trials {
    ($($test:ident),* $(,)?) => { vec![$(trial(stringify!($test), $test)),*] };
}

fn main() -> ExitCode {
    if env::args_os().next().is_some_and(|name| name == INIT) {
        return sandbox::init().into();
    }
    match env::var(PART).as_deref() {
        Ok("start") => start_part(false),
        Ok("interrupted") => start_part(true),
        Ok("enter") => enter_part(),
        _ => netlab::main(all()),
    }
}

fn all() -> Vec<libtest_mimic::Trial> {
    trials![
        the_exit_status_is_the_commands,
        a_command_that_cannot_be_run_is_an_error_and_ends_the_sandbox,
        a_folder_that_is_not_there_is_named,
        what_is_private_is_and_what_is_shared_is_not,
        the_network_is_empty_but_for_lo,
        names_in_etc_lead_where_they_are_told_and_all_others_to_the_hosts,
        a_name_in_etc_can_be_given_another_file_while_it_runs,
        output_is_appended_and_input_is_empty,
        standard_input_can_stay_open_though_nothing_comes,
        variables_are_added_and_replaced,
        the_command_starts_with_no_signal_held_back_or_ignored,
        a_signal_reaches_the_command_once,
        orphans_are_taken_off_the_process_table,
        without_a_command_it_stays_until_it_is_told_to_end,
        nothing_runs_before_it_is_time,
        dropped_it_ends_with_all_in_it,
        whoever_kills_the_starter_kills_the_sandbox,
        a_starter_that_was_told_to_end_runs_no_command,
        a_command_that_is_run_inside_is_in_all_namespaces,
        a_command_that_is_run_inside_has_its_own_status,
        a_detached_command_is_not_waited_for,
        a_sandbox_that_has_ended_gets_no_signal,
        an_interactive_shell_gives_the_terminal_back,
    ]
}

// The parts.

fn words() -> Vec<OsString> {
    env::args_os().skip(1).collect()
}

fn end(outcome: Result<Exit, Error>) -> ExitCode {
    match outcome {
        Ok(exit) => exit.0.into(),
        Err(error) => {
            eprintln!("{error}");
            error.exit_status().into()
        }
    }
}

/// Starts a sandbox, says init's number, and waits.
fn start_part(interrupted: bool) -> ExitCode {
    let spec = Spec { command: words(), private_network: true, ..Spec::default() };
    let mut sandbox = Sandbox::start(&spec, Output::Inherit).unwrap();
    println!("{}", sandbox.pid());
    if interrupted {
        nix::sys::signal::kill(nix::unistd::getpid(), Signal::SIGTERM).unwrap();
    }
    end(sandbox.go().and_then(|()| sandbox.wait()))
}

/// Enters the sandbox of the first argument.
fn enter_part() -> ExitCode {
    let words = words();
    let (detach, pid) = (words[0] == "detach", words[1].to_str().unwrap().parse().unwrap());
    end(sandbox::exec(pid, &words[2..], &[("ADDED".into(), "here".into())], None, detach))
}

fn part(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(PART, name).args(arguments);
    command
}

// What the tests lean on.

fn spec(command: &[&str]) -> Spec {
    let command = command.iter().map(OsString::from).collect();
    Spec { command, private_network: true, ..Spec::default() }
}

fn shell(script: &str) -> Spec {
    spec(&["sh", "-c", script])
}

/// Runs it, its output in a file.
fn run(spec: &Spec) -> (Exit, String) {
    let mut output = tempfile::tempfile().unwrap();
    let mut sandbox = Sandbox::start(spec, Output::Append(output.try_clone().unwrap())).unwrap();
    sandbox.go().unwrap();
    let exit = sandbox.wait().unwrap();
    (exit, text(&mut output))
}

fn text(file: &mut File) -> String {
    let mut text = String::new();
    std::io::Seek::rewind(file).unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// What a script prints that succeeds.
fn says(script: &str) -> String {
    let (exit, text) = run(&shell(script));
    assert_eq!(exit, Exit(0), "{script}: {text}");
    text
}

/// One that runs a script, which has said `ready`, and its output.
fn ready(script: &str) -> (Sandbox, File) {
    let mut output = tempfile::tempfile().unwrap();
    let mut sandbox = Sandbox::start(&shell(script), Output::Append(output.try_clone().unwrap())).unwrap();
    sandbox.go().unwrap();
    soon(|| text(&mut output).contains("ready"));
    (sandbox, output)
}

#[track_caller]
fn soon(done: impl FnMut() -> bool) {
    assert!(netlab::soon(done), "this takes too long");
}

fn namespace(of: &str, kind: &str) -> String {
    fs::read_link(format!("/proc/{of}/ns/{kind}")).unwrap().to_string_lossy().into_owned()
}

/// The children of a process's first thread.
fn children(of: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap();
    listed.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

/// The letter of a process's state (`proc_pid_stat(5)`).
fn state(of: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{of}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().chars().next().unwrap()
}

/// The first line of a child's output, as a number.
fn number(child: &mut Child) -> u32 {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line.trim().parse().unwrap()
}

// The tests.

fn the_exit_status_is_the_commands() {
    for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)] {
        assert_eq!(run(&shell(script)).0, Exit(status), "{script}");
    }
}

fn a_command_that_cannot_be_run_is_an_error_and_ends_the_sandbox() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap();
    for (command, status, exists) in
        [("no-such-command", 127, false), ("/etc/passwd", 126, false), (script, 127, true)]
    {
        let mut sandbox = Sandbox::start(&spec(&[command, "x"]), Output::Inherit).unwrap();
        let error = sandbox.go().unwrap_err();
        assert!(error.exit_status() == status && error.to_string().contains(command), "{error}");
        assert_eq!(matches!(error, Error::NotFound { exists: true, .. }), exists, "{error}");
        soon(|| !sandbox::is_alive(sandbox.pid()));
    }
}

fn a_folder_that_is_not_there_is_named() {
    let spec = Spec { workdir: Some("/no/such/folder".into()), ..shell("exit 0") };
    let error = Sandbox::start(&spec, Output::Inherit).map(drop).unwrap_err();
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
    assert_eq!(run(&Spec { workdir: Some("/usr".into()), ..shell("pwd") }).1, "/usr\n");
}

fn what_is_private_is_and_what_is_shared_is_not() {
    let kinds = ["mnt", "pid", "ipc", "net", "uts", "user"];
    let script = kinds.map(|kind| format!("readlink /proc/self/ns/{kind}")).join(";");
    let inside = |hostname: Option<&str>, private_network| {
        let spec = Spec { hostname: hostname.map(Into::into), private_network, ..shell(&script) };
        let lines = run(&spec).1;
        let shared =
            kinds.iter().zip(lines.lines()).filter(|(kind, line)| namespace("thread-self", kind) == *line);
        shared.map(|(kind, _)| *kind).collect::<Vec<_>>()
    };
    assert_eq!(inside(Some("blue"), true), ["user"]);
    assert_eq!(inside(None, false), ["net", "uts", "user"]);
    let named = Spec { hostname: Some("blue".into()), ..shell("cat /proc/sys/kernel/hostname; echo $$") };
    assert_eq!(run(&named).1, "blue\n2\n", "init is 1");
}

fn the_network_is_empty_but_for_lo() {
    assert_eq!(says("ls /sys/class/net; cat /sys/class/net/lo/operstate"), "lo\nunknown\n");
    let mut sandbox = Sandbox::start(&shell("sleep 1000"), Output::Inherit).unwrap();
    sandbox.go().unwrap();
    let netns = fs::read_link(sandbox.netns()).unwrap();
    assert_ne!(netns, fs::read_link("/proc/thread-self/ns/net").unwrap());
}

fn names_in_etc_lead_where_they_are_told_and_all_others_to_the_hosts() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("hosts"), "10.1.2.3 blue\n").unwrap();
    let etc = vec![("hosts".to_owned(), dir.path().join("hosts"))];
    let script = "cat /etc/hosts; ls -A /etc | grep -v '^.host$' | sort | cksum; cat /etc/passwd | cksum; readlink -f /etc/mtab";
    let outside = "(ls -A /etc; echo hosts) | grep -v '^.host$' | sort -u | cksum; cat /etc/passwd | cksum";
    let expected = Command::new("sh").args(["-c", outside]).output().unwrap().stdout;
    let expected = String::from_utf8(expected).unwrap();
    let (exit, said) = run(&Spec { etc, ..shell(script) });
    let said = said.strip_prefix("10.1.2.3 blue\n").expect("its own hosts");
    assert!(exit == Exit(0) && said.starts_with(&expected), "{said}\nis not\n{expected}");
    if fs::read_link("/etc/mtab").is_ok_and(|target| target == Path::new("../proc/self/mounts")) {
        assert!(said.contains("/proc/") && said.ends_with("/mounts\n"), "a link leads where it did: {said}");
    }
}

fn a_name_in_etc_can_be_given_another_file_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (hosts, draft) = (dir.path().join("hosts"), dir.path().join("draft"));
    fs::write(&hosts, "old\n").unwrap();
    let script =
        "cat /etc/hosts; echo ready; while grep -q old /etc/hosts; do sleep 0.01; done; cat /etc/hosts";
    let spec = Spec { etc: vec![("hosts".into(), hosts.clone())], ..shell(script) };
    let mut output = tempfile::tempfile().unwrap();
    let mut sandbox = Sandbox::start(&spec, Output::Append(output.try_clone().unwrap())).unwrap();
    sandbox.go().unwrap();
    soon(|| text(&mut output).contains("ready"));
    fs::write(&draft, "new\n").unwrap();
    fs::rename(&draft, &hosts).unwrap();
    assert_eq!(sandbox.wait().unwrap(), Exit(0));
    assert_eq!(text(&mut output), "old\nready\nnew\n");
}

fn output_is_appended_and_input_is_empty() {
    let mut output = File::options().read(true).append(true).open("/dev/null").unwrap();
    assert_eq!(text(&mut output), "");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    fs::write(&path, "before\n").unwrap();
    let file = File::options().append(true).open(&path).unwrap();
    let mut sandbox = Sandbox::start(&shell("cat; echo out; echo err >&2"), Output::Append(file)).unwrap();
    sandbox.go().unwrap();
    sandbox.wait().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "before\nout\nerr\n");
}

fn standard_input_can_stay_open_though_nothing_comes() {
    let mut output = tempfile::tempfile().unwrap();
    let script = "timeout 0.2 cat; echo $?";
    let mut sandbox =
        Sandbox::start(&shell(script), Output::AppendAndWait(output.try_clone().unwrap())).unwrap();
    sandbox.go().unwrap();
    sandbox.wait().unwrap();
    assert_eq!(text(&mut output), "124\n");
}

fn variables_are_added_and_replaced() {
    let env = vec![("ADDED".into(), "a b".into()), ("HOME".into(), "/x".into())];
    let (_, said) = run(&Spec { env, ..shell("echo $ADDED $HOME; test -n \"$PATH\" && echo kept") });
    assert_eq!(said, "a b /x\nkept\n");
}

fn the_command_starts_with_no_signal_held_back_or_ignored() {
    let said = says("exec cat /proc/self/status");
    let mask = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    assert_eq!(mask("SigBlk:"), 0);
    let (pipe, child) = (1 << (Signal::SIGPIPE as u64 - 1), 1 << (Signal::SIGCHLD as u64 - 1));
    assert_eq!(mask("SigIgn:") & (pipe | child), 0);
}

fn a_signal_reaches_the_command_once() {
    for signal in
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGQUIT]
    {
        let name = signal.as_str().trim_start_matches("SIG");
        let dir = tempfile::tempdir().unwrap();
        let end = dir.path().join("end");
        let script = format!(
            "trap 'echo got' {name}; echo ready; while [ ! -e {} ]; do sleep 0.02; done; exit 9",
            end.display()
        );
        let (mut sandbox, mut output) = ready(&script);
        assert!(sandbox::signal(sandbox.pid(), signal).unwrap());
        soon(|| text(&mut output).contains("got"));
        // What is heard twice is heard by now, on most machines.
        thread::sleep(Duration::from_millis(200));
        fs::write(&end, "").unwrap();
        assert_eq!(sandbox.wait().unwrap(), Exit(9));
        assert_eq!(text(&mut output), "ready\ngot\n", "{signal}");
    }
}

/// The kernel tells of many with one signal, if init had no time to read it before.
fn orphans_are_taken_off_the_process_table() {
    let (sandbox, _output) =
        ready("for i in 1 2 3 4 5 6 7 8; do (sleep 1000 &); done; echo ready; sleep 1001");
    let init = sandbox.pid();
    let orphans = || -> Vec<u32> {
        let is_one = |child: &u32| {
            fs::read(format!("/proc/{child}/cmdline")).is_ok_and(|line| line == b"sleep\x001000\0")
        };
        children(init).into_iter().filter(is_one).collect()
    };
    soon(|| orphans().len() == 8);
    let (orphans, all) = (orphans(), children(init).len());
    sandbox::signal(init, Signal::SIGSTOP).unwrap();
    soon(|| state(init) == 'T');
    for orphan in &orphans {
        sandbox::signal(*orphan, Signal::SIGKILL).unwrap();
    }
    soon(|| orphans.iter().all(|orphan| state(*orphan) == 'Z'));
    sandbox::signal(init, Signal::SIGCONT).unwrap();
    soon(|| children(init).len() == all - 8);
}

fn without_a_command_it_stays_until_it_is_told_to_end() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut sandbox = Sandbox::start(&spec(&[]), Output::Inherit).unwrap();
        sandbox.go().unwrap();
        thread::sleep(Duration::from_millis(50));
        assert!(sandbox::is_alive(sandbox.pid()));
        sandbox::signal(sandbox.pid(), signal).unwrap();
        assert_eq!(sandbox.wait().unwrap(), Exit(0));
    }
}

fn nothing_runs_before_it_is_time() {
    let mut output = tempfile::tempfile().unwrap();
    let mut sandbox =
        Sandbox::start(&shell("echo runs"), Output::Append(output.try_clone().unwrap())).unwrap();
    thread::sleep(Duration::from_millis(50));
    assert_eq!(text(&mut output), "");
    sandbox.go().unwrap();
    sandbox.wait().unwrap();
    assert_eq!(text(&mut output), "runs\n");
}

fn dropped_it_ends_with_all_in_it() {
    let (sandbox, _output) = ready("setsid sleep 1000 & echo ready; sleep 1000");
    let init = sandbox.pid();
    let command = children(init)[0];
    assert!(sandbox::is_alive(init) && sandbox::is_alive(command));
    drop(sandbox);
    assert!(!sandbox::is_alive(init) && !sandbox::is_alive(command));
}

fn whoever_kills_the_starter_kills_the_sandbox() {
    let mut starter = part("start", &["sleep", "1000"]).stdout(Stdio::piped()).spawn().unwrap();
    let init = number(&mut starter);
    assert!(sandbox::is_alive(init));
    soon(|| !children(init).is_empty());
    starter.kill().unwrap();
    starter.wait().unwrap();
    soon(|| !sandbox::is_alive(init));
}

fn a_starter_that_was_told_to_end_runs_no_command() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark");
    let status =
        part("interrupted", &["touch", mark.to_str().unwrap()]).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(143));
    assert!(!mark.exists());
}

/// What a command prints that is run in a sandbox from outside.
fn inside(sandbox: &Sandbox, words: &[&str]) -> (Option<i32>, String) {
    let pid = sandbox.pid().to_string();
    let output = part("enter", &[&["wait", &pid], words].concat()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().or(output.status.signal()), said)
}

fn a_command_that_is_run_inside_is_in_all_namespaces() {
    let mut sandbox =
        Sandbox::start(&Spec { hostname: Some("blue".into()), ..shell("sleep 1000") }, Output::Inherit)
            .unwrap();
    sandbox.go().unwrap();
    for kind in ["mnt", "pid", "ipc", "net", "uts"] {
        let (status, said) = inside(&sandbox, &["readlink", &format!("/proc/self/ns/{kind}")]);
        assert_eq!((status, said.trim()), (Some(0), &*namespace(&sandbox.pid().to_string(), kind)));
    }
    let (_, said) = inside(&sandbox, &["sh", "-c", "pwd; echo $ADDED; grep SigBlk /proc/self/status"]);
    let here = env::current_dir().unwrap();
    assert_eq!(said, format!("{}\nhere\nSigBlk:\t0000000000000000\n", here.display()));
}

fn a_command_that_is_run_inside_has_its_own_status() {
    let (sandbox, _output) = ready("echo ready; sleep 1000");
    for (script, status) in [("exit 3", 3), ("kill -9 $$", 137)] {
        assert_eq!(inside(&sandbox, &["sh", "-c", script]).0, Some(status), "{script}");
    }
    assert_eq!(inside(&sandbox, &["no-such-command"]).0, Some(127));
    assert_eq!(inside(&sandbox, &["/etc/passwd"]).0, Some(126));
}

fn a_detached_command_is_not_waited_for() {
    let (sandbox, _output) = ready("echo ready; sleep 1000");
    let pid = sandbox.pid().to_string();
    assert!(part("enter", &["detach", &pid, "sleep", "1000"]).status().unwrap().success());
    assert!(!part("enter", &["detach", &pid, "no-such-command"]).output().unwrap().status.success());
    let (_, processes) = inside(&sandbox, &["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]);
    assert_eq!(
        processes.matches("sleep 1000 ").count(),
        3,
        "the script, its child, and this one: {processes}"
    );
}

fn a_sandbox_that_has_ended_gets_no_signal() {
    let mut sandbox = Sandbox::start(&shell("exit 0"), Output::Inherit).unwrap();
    let init = sandbox.pid();
    sandbox.go().unwrap();
    sandbox.wait().unwrap();
    assert!(!sandbox::is_alive(init));
    assert!(!sandbox::signal(init, Signal::SIGTERM).unwrap());
    assert_eq!(sandbox.wait().unwrap(), Exit(0), "it is told as often as it is asked for");
}

/// The shell that ends puts its first process group back in the foreground; dash says so if it cannot, and fails.
fn an_interactive_shell_gives_the_terminal_back() {
    let command = format!("{} sh -i", env::current_exe().unwrap().display());
    let mut terminal = Terminal::start(&command, |script| {
        script.env(PART, "start").env("ENV", "");
    });
    terminal.shows("# ", "");
    terminal.shows("\nstarted", "echo started; sleep 1000\n");
    terminal.shows("# ", "\x03");
    terminal.types("exit 3\n");
    let (status, screen) = terminal.end();
    assert_eq!(status.and_then(|status| status.code()), Some(3), "{screen}");
    assert!(!screen.contains("tty"), "{screen}");
}
