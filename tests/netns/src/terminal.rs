//! A terminal, and somebody who types at it and reads.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a laboratory that is out of order is how a test fails"
)]
use crate::patience::{PATIENCE, soon, wait};
use std::{
    io::{Read, Write},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A terminal with a command in it (`script(1)`).
#[derive(Debug)]
pub struct Terminal {
    script: Child,
    screen: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// A terminal with this command in it and no shell around it, in an environment that is prepared first.
    pub fn start(command: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut script = Command::new("script");
        // A shell that waited would be the job, and take a Ctrl-C for its own end: dash waits, bash does not.
        script.args(["-q", "-e", "-c", &format!("exec {command}"), "/dev/null"]);
        script.env("TERM", "dumb").env("SHELL", "/bin/sh");
        prepare(&mut script);
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (output, screen) = (script.stdout.take().unwrap(), Arc::<Mutex<String>>::default());
        let shared = screen.clone();
        let reader = Some(thread::spawn(move || show(output, &shared)));
        Self { script, screen, reader }
    }

    /// All that was shown so far.
    pub fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    /// Types this.
    pub fn types(&mut self, text: &str) {
        self.script.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Types this, and waits for something to be shown after it. A key is typed until it is heard: what it is for may not
    /// have begun.
    #[track_caller]
    pub fn shows(&mut self, expected: &str, typed: &str) {
        let before = self.screen().len();
        let is_key = typed.starts_with(char::is_control);
        self.types(typed);
        let mut last = Instant::now();
        let shown = soon(|| {
            if is_key && last.elapsed() > AGAIN {
                self.types(typed);
                last = Instant::now();
            }
            self.screen().get(before..).is_some_and(|shown| shown.contains(expected))
        });
        assert!(shown, "{expected:?} is not shown {PATIENCE:?} after {typed:?}: {}", self.screen());
    }

    /// Waits for the command's end: its exit status, and all that it has shown.
    pub fn end(mut self) -> (Option<ExitStatus>, String) {
        let status = wait(&mut self.script);
        if status.is_some() {
            self.reader.take().unwrap().join().unwrap();
        }
        (status, self.screen())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _gone = self.script.kill();
        let _waited = self.script.wait();
    }
}

fn show(mut output: ChildStdout, screen: &Mutex<String>) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = output.read(&mut bytes) {
        screen.lock().unwrap().push_str(&String::from_utf8_lossy(bytes.get(..count).unwrap()));
    }
}

/// How long until a key that does nothing is typed again.
const AGAIN: Duration = Duration::from_millis(500);
