//! A real etcd, on loopback in the namespace of a test: installed, or unpacked in the folder that `SEALANE_ETCD` names.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a laboratory that is out of order is how a test fails"
)]
use crate::{Host, patience::soon};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A cluster of etcd. It ends with the value.
#[derive(Debug)]
pub struct Etcd {
    dir: PathBuf,
    members: Vec<Member>,
    tls: Option<Tls>,
}

/// The files of a cluster that wants TLS, and certificates of its clients.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Who signed what follows.
    pub ca: PathBuf,
    /// What members and clients show, for 127.0.0.1 and localhost.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

#[derive(Debug)]
struct Member {
    name: String,
    arguments: Vec<String>,
    client: String,
    process: Option<Child>,
}

impl Etcd {
    /// Whether there is one to be run.
    pub fn is_there() -> bool {
        program("etcd").exists() && program("etcdctl").exists()
    }

    /// One of this many members that are well, on 127.0.0.1: the first on port 2379.
    pub fn new(host: &Host, members: u16) -> Self {
        Self::with(host, members, None)
    }

    /// One of one member, which other hosts reach at this address of the host's.
    pub fn at(host: &Host, address: &str) -> Self {
        Self::made(host, 1, None, address)
    }

    /// The same as [`Etcd::new`], with a certificate for everybody.
    pub fn with(host: &Host, members: u16, tls: Option<Tls>) -> Self {
        Self::made(host, members, tls, "127.0.0.1")
    }

    fn made(host: &Host, members: u16, tls: Option<Tls>, address: &str) -> Self {
        let dir = host.dir().join("etcd");
        fs::create_dir_all(&dir).unwrap();
        let peer = |number| format!("http://127.0.0.1:{}", 12380 + number);
        let all =
            (0..members).map(|number| format!("m{number}={}", peer(number))).collect::<Vec<_>>().join(",");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let member = |number| {
            let (name, client) = (format!("m{number}"), format!("{scheme}://{address}:{}", 2379 + number));
            let data = dir.join(&name).display().to_string();
            let mut arguments = vec!["--name", &name, "--data-dir", &data, "--listen-client-urls", &client];
            let peer = peer(number);
            arguments.extend(["--advertise-client-urls", &client, "--listen-peer-urls", &peer]);
            arguments.extend(["--initial-advertise-peer-urls", &peer, "--initial-cluster", &all]);
            arguments.extend(["--log-level", "error"]);
            let arguments = arguments.into_iter().map(str::to_owned).collect();
            Member { name, arguments, client, process: None }
        };
        let mut this = Self { members: (0..members).map(member).collect(), dir, tls };
        (0..this.members.len()).for_each(|number| this.launch(number));
        this.wait();
        this
    }

    /// Where the members listen, each as `http://127.0.0.1:2379`.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.client.clone()).collect()
    }

    /// A member ends as by a power cut.
    pub fn kill(&mut self, number: usize) {
        self.members.get_mut(number).unwrap().end();
    }

    /// A member that was killed is back, with what it had written.
    pub fn restart(&mut self, number: usize) {
        self.launch(number);
        self.wait();
    }

    /// A member that was killed is back, with an empty disk.
    pub fn forget(&mut self, number: usize) {
        fs::remove_dir_all(self.dir.join(&self.members.get(number).unwrap().name)).unwrap();
        self.restart(number);
    }

    /// A member says nothing any more, but its connections stand.
    pub fn freeze(&self, number: usize) {
        let process = self.signal(number, Signal::SIGSTOP);
        // A thread that is on another core has a moment still, and could answer.
        assert!(soon(|| threads(process).iter().all(|state| state == "T")));
    }

    /// It goes on.
    pub fn thaw(&self, number: usize) {
        self.signal(number, Signal::SIGCONT);
    }

    /// What `etcdctl` prints, asking the members that were not killed.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String, String> {
        let running = self.members.iter().filter(|member| member.process.is_some());
        let running = running.map(|member| member.client.as_str()).collect::<Vec<_>>();
        self.ask(&running.join(","), arguments)
    }

    /// The same, asking one.
    pub fn ctl_of(&self, number: usize, arguments: &[&str]) -> Result<String, String> {
        self.ask(&self.members.get(number).unwrap().client, arguments)
    }

    fn ask(&self, members: &str, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program("etcdctl"));
        command.env("ETCDCTL_API", "3").args(["--endpoints", members]);
        if let Some(tls) = &self.tls {
            command.arg("--cacert").arg(&tls.ca).arg("--cert").arg(&tls.cert).arg("--key").arg(&tls.key);
        }
        let output = command.args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn launch(&mut self, number: usize) {
        let member = self.members.get_mut(number).unwrap();
        let log =
            fs::File::options().create(true).append(true).open(self.dir.join(format!("{}.log", member.name)));
        let mut command = Command::new(program("etcd"));
        command.args(&member.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.unwrap());
        if let Some(tls) = &self.tls {
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(&tls.ca);
            command.arg("--cert-file").arg(&tls.cert).arg("--key-file").arg(&tls.key);
        }
        member.process = Some(command.spawn().unwrap());
    }

    /// Until all that run are well, and so is the whole.
    fn wait(&self) {
        let mut said = Ok(String::new());
        let well = soon(|| {
            said = self.ctl(&["endpoint", "health"]);
            said.is_ok()
        });
        assert!(well, "{said:?}\n{}", self.log());
    }

    fn log(&self) -> String {
        let log = |member: &Member| fs::read_to_string(self.dir.join(format!("{}.log", member.name)));
        self.members.iter().filter_map(|member| log(member).ok()).collect()
    }

    fn signal(&self, number: usize, signal: Signal) -> Pid {
        let process = self.members.get(number).unwrap().process.as_ref().unwrap();
        let process = Pid::from_raw(process.id().try_into().unwrap());
        kill(process, signal).unwrap();
        process
    }
}

impl Tls {
    /// A CA of its own, and one certificate for members and clients, made by `openssl` in this folder.
    pub fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let run = |arguments: &str| {
            let output =
                Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output().unwrap();
            assert!(
                output.status.success(),
                "openssl {arguments}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        fs::write(
            dir.join("names"),
            "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n",
        )
        .unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        run(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"));
        run(&format!("req {key} -keyout key.pem -out request -subj /CN=etcd"));
        run(
            "x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names",
        );
        Self { ca: dir.join("ca.pem"), cert: dir.join("cert.pem"), key: dir.join("key.pem") }
    }
}

impl Member {
    fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _gone = process.kill();
            let _reaped = process.wait();
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.members.iter_mut().for_each(Member::end);
    }
}

/// What each thread of a process does (`proc_pid_stat(5)`, field 3).
fn threads(process: Pid) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let letter = |stat: String| stat.rsplit(')').next()?.split_whitespace().next().map(str::to_owned);
    stats.filter_map(letter).collect()
}

fn program(name: &str) -> PathBuf {
    let root = env::var_os("SEALANE_ETCD").map_or_else(|| "/".into(), PathBuf::from);
    root.join("usr/bin").join(name)
}
