//! The main of every plugin: read the environment and the configuration, refuse what the reference refuses in its order, run the
//! verb, and print one JSON text. Nothing else ever goes to stdout, and it goes there in one write.
use crate::{
    config::Named,
    environment::{Environment, Lookup},
    error::{Code, Error, ErrorReply, Fail},
    request::{Attachment, AttachmentId, Call, Verb},
    result::AddResult,
    version::Version,
};
use serde::Serialize;
use std::{
    io::{self, Write},
    mem::ManuallyDrop,
    os::unix::fs::MetadataExt,
    path::Path,
    process::ExitCode,
};

/// The version in the banner of a plugin that is called without a command. Peers run each plugin to read it and refuse to work
/// with what is older than they know, so it is the reference's whose behaviour ours is.
pub const BANNER_VERSION: &str = "v1.9.1";

/// A plugin.
pub trait Handler: Sync {
    /// The plugin's name, such as `bridge`.
    fn name(&self) -> &'static str;

    /// The versions of configurations that it takes, oldest first.
    fn versions(&self) -> &'static [Version] {
        &Version::ALL
    }

    /// Whether `CNI_NETNS` may be the namespace that the plugin runs in.
    fn may_share_netns(&self) -> bool {
        false
    }

    /// Attaches the container. `at.netns` is there.
    fn add(&self, call: &Call, at: &Attachment) -> Result<AddResult, Fail>;

    /// Compares what is there with what ADD made. `at.netns` is there.
    fn check(&self, call: &Call, at: &Attachment) -> Result<(), Fail>;

    /// Detaches the container; what is gone already is no failure.
    fn del(&self, call: &Call, at: &Attachment) -> Result<(), Fail>;

    /// Removes every attachment to the network that is not one of `valid`.
    fn gc(&self, call: &Call, valid: &[AttachmentId]) -> Result<(), Fail>;

    /// Fails if an ADD could not succeed now.
    fn status(&self, call: &Call) -> Result<(), Fail>;
}

/// Runs the plugin as a runtime called it: by `CNI_*` variables and a configuration on stdin. Exits with 0, or with 1 and an
/// error on stdout. Without a command it says on stderr what it is.
pub fn serve(handler: &dyn Handler) -> ExitCode {
    report_panics();
    let env = |name: &str| std::env::var_os(name);
    if env("CNI_COMMAND").is_none_or(|command| command.is_empty()) {
        return introduce(handler);
    }
    let (printed, code) = match answer(handler, &env, &mut read_stdin) {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(reply) => (pretty(&reply), ExitCode::FAILURE),
    };
    if print(&printed).is_err() { ExitCode::FAILURE } else { code }
}

/// What goes to stdout for a call with these variables and this input.
pub(crate) fn answer(
    handler: &dyn Handler,
    env: Lookup<'_>,
    stdin: &mut dyn FnMut() -> io::Result<Vec<u8>>,
) -> Result<Vec<u8>, ErrorReply> {
    let early = |error: Error| ErrorReply::new(Version::LATEST.as_str(), &error);
    let environment = Environment::read(env).map_err(early)?;
    if environment.command == Verb::Version.as_str() {
        return Ok(versions(handler));
    }
    let named = stdin().map_err(Error::Stdin).and_then(Named::read).map_err(early)?;
    let verb: Verb = environment.command.parse().map_err(early)?;
    let Environment { args, cni_path, attachment, may_share_netns, .. } = environment;
    // To give back piece by piece what was read of a long list takes as long as to read it, and whoever waits for the end of this process waits for that, too.
    let call = ManuallyDrop::new(named.call(verb, args, cni_path, handler.versions()).map_err(early)?);
    let may_share_netns = may_share_netns || handler.may_share_netns();
    let done = dispatch(handler, verb, &call, attachment.as_ref(), may_share_netns);
    done.map_err(|failure| ErrorReply::new(call.version.as_str(), &*failure))
}

fn dispatch(
    handler: &dyn Handler,
    verb: Verb,
    call: &Call,
    at: Option<&Attachment>,
    may_share_netns: bool,
) -> Result<Vec<u8>, Fail> {
    if let Some(netns) = at.and_then(|at| at.netns.as_deref())
        && !may_share_netns
    {
        refuse_own(netns)?;
    }
    match (verb, at) {
        (Verb::Add, Some(at)) => return add(handler, call, at),
        (Verb::Check, Some(at)) => handler.check(call, at)?,
        (Verb::Del, Some(at)) => handler.del(call, at)?,
        (Verb::Gc, _) => handler.gc(call, &call.valid_attachments()?)?,
        (Verb::Status, _) => handler.status(call)?,
        (Verb::Version, _) => return Ok(versions(handler)),
        // Of an interface that nobody can have.
        (Verb::Del, None) => {}
        (Verb::Add | Verb::Check, None) => {
            return Err(Error::MissingEnv(vec!["CNI_CONTAINERID", "CNI_IFNAME"]).into());
        }
    }
    Ok(Vec::new())
}

fn add(handler: &dyn Handler, call: &Call, at: &Attachment) -> Result<Vec<u8>, Fail> {
    match handler.add(call, at)?.to_json(call.version) {
        Ok(result) => Ok(pretty(&result)),
        Err(error) => {
            // The attachment is there, but the runtime is going to hear that the ADD failed. The error that it hears is the
            // first one: a DEL that fails too is tried again by the runtime.
            let _ = handler.del(call, at);
            Err(error.into())
        }
    }
}

/// Refuses the network namespace that this process is in: a plugin that took it for a container's would reconfigure the host. A
/// path that cannot be looked at is the plugin's own business.
fn refuse_own(netns: &Path) -> Result<(), Error> {
    let Ok(theirs) = std::fs::metadata(netns) else { return Ok(()) };
    let ours = std::fs::metadata("/proc/thread-self/ns/net").map_err(Error::UnknownNetns)?;
    let same = (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino());
    if same { Err(Error::OwnNetns(netns.to_owned())) } else { Ok(()) }
}

fn introduce(handler: &dyn Handler) -> ExitCode {
    let versions: Vec<&str> = handler.versions().iter().map(|version| version.as_str()).collect();
    let name = handler.name();
    let banner = format!(
        "CNI {name} plugin {BANNER_VERSION}\nCNI protocol versions supported: {}\n",
        versions.join(", ")
    );
    // Whoever closed stderr does not want to know.
    let _ = io::stderr().write_all(banner.as_bytes());
    ExitCode::SUCCESS
}

/// VERSION's answer names the newest version of the protocol, whatever the configuration's is.
fn versions(handler: &dyn Handler) -> Vec<u8> {
    let versions: Vec<&str> = handler.versions().iter().map(|version| version.as_str()).collect();
    let answer = serde_json::json!({"cniVersion": Version::LATEST.as_str(), "supportedVersions": versions});
    format!("{answer}\n").into_bytes()
}

/// JSON indented by four blanks, without a line feed at the end.
fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, indent);
    // Cannot fail: the text goes to memory and no key is anything but a string.
    let _ = value.serialize(&mut serializer);
    text
}

/// Everything from stdin, without the buffer of [`io::Stdin`].
fn read_stdin() -> io::Result<Vec<u8>> {
    let (mut text, mut chunk) = (Vec::new(), vec![0; FIRST]);
    loop {
        match nix::unistd::read(io::stdin(), &mut chunk) {
            Ok(0) => return Ok(text),
            Ok(length) => {
                text.extend_from_slice(chunk.get(..length).unwrap_or_default());
                chunk.resize(CHUNK, 0);
            }
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// What nearly every configuration fits into.
const FIRST: usize = 4096;

/// As much as a pipe holds (pipe(7)).
const CHUNK: usize = 65536;

/// Writes to stdout, past the line buffer of [`io::Stdout`], which would make two writes of one answer.
fn print(mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        match nix::unistd::write(io::stdout(), text) {
            Ok(length) => text = text.get(length..).unwrap_or_default(),
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Makes a panic an answer like any other failure, before the process goes.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let reply = ErrorReply {
            cni_version: Version::LATEST.as_str().to_owned(),
            code: Code::Internal as u32,
            msg: panic.to_string().replace('\n', " "),
            details: "this is a defect of the plugin: please report it with the configuration".to_owned(),
        };
        let _ = print(&pretty(&reply));
        std::process::exit(1);
    }));
}
