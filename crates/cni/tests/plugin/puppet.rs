//! Plugins that do what their configuration says, and the folder and the calls to run them with.
use cni::{AddResult, Attachment, AttachmentId, Call, Delegates, Fail, Failure, Handler, Interface};
use libtest_mimic::Failed;
use serde::Deserialize;
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A plugin that answers `result`, fails with `fail`, panics with `panic`, and hands on to `ipam.type`.
pub struct Puppet;
/// The delegate that is built in. Its result tells in which process it ran.
struct Inner;

static DELEGATES: Delegates = Delegates { built_in: &[("inner", &Inner)] };

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Script {
    result: Value,
    fail: Option<String>,
    panic: Option<String>,
    /// A file that each verb adds its name to.
    log: Option<PathBuf>,
    /// A file that ADD writes the number of addresses to which its delegate gave.
    count: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum PuppetError {
    #[error("the puppet was told to fail")]
    Told(#[source] Word),
    #[error("valid: {0:?}")]
    Valid(Vec<String>),
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Word(String);

impl Failure for PuppetError {
    fn code(&self) -> cni::Code {
        match self {
            PuppetError::Told(_) => cni::Code::Taken,
            PuppetError::Valid(_) => cni::Code::Check,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            PuppetError::Told(_) => Some("tell it something else".into()),
            PuppetError::Valid(_) => None,
        }
    }
}

/// The puppet that a file of this name is.
pub fn named(program: &Path) -> Option<&'static dyn Handler> {
    match program.file_name()?.to_str()? {
        "puppet" => Some(&Puppet),
        "inner" => Some(&Inner),
        _ => None,
    }
}

fn script(call: &Call, verb: &str) -> Result<Script, Fail> {
    let script: Script = call.decode()?;
    if let Some(log) = &script.log {
        let before = fs::read_to_string(log).unwrap_or_default();
        fs::write(log, format!("{before}{verb} ")).unwrap();
    }
    if let Some(words) = script.panic {
        panic!("{words}");
    }
    match script.fail {
        Some(words) => Err(PuppetError::Told(Word(words)).into()),
        None => Ok(script),
    }
}

impl Handler for Puppet {
    fn name(&self) -> &'static str {
        "puppet"
    }
    fn add(&self, call: &Call, at: &Attachment) -> Result<AddResult, Fail> {
        let script = script(call, "ADD")?;
        if let Some(prev_result) = &call.prev_result {
            return Ok(prev_result.clone());
        }
        let mut result = AddResult::from_json(&script.result, cni::Version::LATEST)?;
        if let Some(plugin) = &call.ipam_type {
            result = DELEGATES.add(call, at, plugin)?;
            if let Some(count) = script.count {
                fs::write(count, result.ips.len().to_string()).unwrap();
            }
            let name = format!("main {}", std::process::id());
            result.interfaces.push(Interface { name, ..Interface::default() });
        }
        Ok(result)
    }
    fn check(&self, call: &Call, at: &Attachment) -> Result<(), Fail> {
        script(call, "CHECK")?;
        call.ipam_type.as_ref().map_or(Ok(()), |plugin| DELEGATES.check(call, at, plugin))
    }
    fn del(&self, call: &Call, at: &Attachment) -> Result<(), Fail> {
        script(call, "DEL")?;
        call.ipam_type.as_ref().map_or(Ok(()), |plugin| DELEGATES.del(call, at, plugin))
    }
    fn gc(&self, call: &Call, valid: &[AttachmentId]) -> Result<(), Fail> {
        script(call, "GC")?;
        if let Some(plugin) = &call.ipam_type {
            return DELEGATES.gc(call, valid, plugin);
        }
        let valid = valid.iter().map(|id| format!("{}:{}", id.container, id.ifname));
        Err(PuppetError::Valid(valid.collect()).into())
    }
    fn status(&self, call: &Call) -> Result<(), Fail> {
        script(call, "STATUS")?;
        call.ipam_type.as_ref().map_or(Ok(()), |plugin| DELEGATES.status(call, plugin))
    }
}

impl Handler for Inner {
    fn name(&self) -> &'static str {
        "inner"
    }
    fn add(&self, call: &Call, _: &Attachment) -> Result<AddResult, Fail> {
        let mut result = AddResult::from_json(&script(call, "inner-ADD")?.result, cni::Version::LATEST)?;
        let name = format!("inner {}", std::process::id());
        result.interfaces.push(Interface { name, ..Interface::default() });
        Ok(result)
    }
    fn check(&self, call: &Call, _: &Attachment) -> Result<(), Fail> {
        script(call, "inner-CHECK").map(drop)
    }
    fn del(&self, call: &Call, _: &Attachment) -> Result<(), Fail> {
        script(call, "inner-DEL").map(drop)
    }
    fn gc(&self, call: &Call, _: &[AttachmentId]) -> Result<(), Fail> {
        script(call, "inner-GC").map(drop)
    }
    fn status(&self, call: &Call) -> Result<(), Fail> {
        script(call, "inner-STATUS").map(drop)
    }
}

/// A folder with the puppet in it.
pub struct Bin(TempDir);

/// What a call gave back.
pub struct Reply {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Bin {
    pub fn new() -> Self {
        let bin = Self(tempfile::tempdir().unwrap());
        bin.link("puppet");
        bin
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// This program under another name.
    pub fn link(&self, name: &str) {
        let program = std::env::current_exe().unwrap();
        let link = self.path().join(name);
        // Another file system than the build's: then a copy does, for who does not ask for the same inode.
        fs::hard_link(&program, &link).or_else(|_| fs::copy(&program, &link).map(drop)).unwrap();
    }

    /// A plugin that is a shell script.
    pub fn script(&self, name: &str, text: &str) {
        let file = self.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Calls the puppet with no environment but this.
    pub fn call(&self, env: &[(&str, &str)], stdin: &str) -> Reply {
        let mut puppet = Command::new(self.path().join("puppet"));
        puppet.env_clear().envs(env.iter().copied());
        puppet.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut puppet = loop {
            match puppet.spawn() {
                // A copy, and a child of another test's still holds it open for writing.
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                spawned => break spawned.unwrap(),
            }
        };
        // It may fail without reading.
        let _ = std::io::Write::write_all(&mut puppet.stdin.take().unwrap(), stdin.as_bytes());
        let output = puppet.wait_with_output().unwrap();
        Reply {
            ok: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A call with every variable that a runtime sets, and those given on top.
    pub fn verb(&self, verb: &str, env: &[(&str, &str)], stdin: &str) -> Reply {
        let path = self.path().to_str().unwrap();
        let mut all = vec![
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", "c1"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_NETNS", "/nowhere"),
            ("CNI_PATH", path),
        ];
        all.extend(env);
        self.call(&all, stdin)
    }
}

impl Reply {
    /// The result that was printed.
    pub fn result(&self) -> Result<Value, Failed> {
        if !self.ok {
            return Err(format!("it failed: {}", self.stdout).into());
        }
        Ok(serde_json::from_str(&self.stdout)?)
    }

    /// Code, message and details of the error that was printed.
    pub fn error(&self) -> Result<(u64, String, String), Failed> {
        if self.ok {
            return Err(format!("it succeeded: {}", self.stdout).into());
        }
        let error: Value = serde_json::from_str(&self.stdout)?;
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        Ok((error["code"].as_u64().ok_or("no code")?, text("msg"), text("details")))
    }
}
