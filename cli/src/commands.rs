//! The commands: each loads a network and has the runtime's side of CNI do the work, as cnitool does.
use crate::{
    args::{Cli, Target, Verb},
    error::Error,
    explain, registry,
};
use clap::Parser as _;
use cni::{
    AttachmentId, ErrorReply, Fail, Version,
    runtime::{DEFAULT_CACHE_DIR, Network, Runtime, RuntimeAttachment},
};
use serde::Serialize;
use std::{env, io::Write as _, path::PathBuf, process::ExitCode};

/// Where plugins are when `CNI_PATH` does not say: what the CNI specification's own tools and the runtimes take.
const DEFAULT_PATH: &str = "/opt/cni/bin";

/// What a command prints.
enum Output {
    /// Nothing.
    Nothing,
    /// An ADD's result.
    Result(serde_json::Value),
    /// Lines for a person.
    Text(String),
}

/// Reads the command line, does it, and prints the result or the error.
pub(crate) fn run() -> ExitCode {
    let outcome = execute(Cli::parse().verb);
    match &outcome {
        Ok(Output::Nothing) => {}
        Ok(Output::Result(result)) => print_json(result),
        Ok(Output::Text(text)) => print(text.as_bytes()),
        Err(fail) => print_json(&ErrorReply::new(Version::LATEST.as_str(), &**fail)),
    }
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn execute(verb: Verb) -> Result<Output, Fail> {
    let runtime = runtime();
    match verb {
        Verb::Add(target) => {
            let (network, at) = load(&target)?;
            return Ok(Output::Result(runtime.add(&network, &at)?));
        }
        Verb::Del(target) => {
            let (network, at) = load(&target)?;
            runtime.del(&network, &at)?;
        }
        Verb::Check(target) => {
            let (network, at) = load(&target)?;
            runtime.check(&network, &at)?;
        }
        Verb::Gc { conflist, valid } => {
            let valid = valid.iter().map(|text| attachment(text)).collect::<Result<Vec<_>, Error>>()?;
            runtime.gc(&Network::load(&conflist)?, &valid)?;
        }
        Verb::Status { conflist } => runtime.status(&Network::load(&conflist)?)?,
        Verb::Explain(target) => {
            let (network, at) = load(&target)?;
            return Ok(Output::Text(explain::text(&runtime, &network, &at)?));
        }
        Verb::Plugins => {
            let names: Vec<_> = registry::names().collect();
            return Ok(Output::Text(names.join("\n") + "\n"));
        }
    }
    Ok(Output::Nothing)
}

fn runtime() -> Runtime {
    let path = env::var_os("CNI_PATH").filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT_PATH.into());
    Runtime { path: env::split_paths(&path).collect(), cache_dir: PathBuf::from(DEFAULT_CACHE_DIR) }
}

fn load(target: &Target) -> Result<(Network, RuntimeAttachment), Fail> {
    let network = Network::load(&target.conflist)?;
    let at = RuntimeAttachment::from_env(&target.container, &target.netns, target.ifname.as_deref())?;
    Ok((network, at))
}

/// `CONTAINER:IFNAME`. A container's ID has no colon, nor has an interface's name.
fn attachment(text: &str) -> Result<AttachmentId, Error> {
    let (container, ifname) = text.split_once(':').ok_or_else(|| Error::Valid(text.to_owned()))?;
    let wrong = |cause| Error::ValidName { value: text.to_owned(), cause };
    Ok(AttachmentId { container: container.parse().map_err(wrong)?, ifname: ifname.parse().map_err(wrong)? })
}

/// JSON on standard output, indented as plugins do.
pub(crate) fn print_json(value: &impl Serialize) {
    let mut text = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    // Into memory, and with no key that is not a string: nothing here can fail.
    let _cannot_fail = value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, indent));
    text.push(b'\n');
    print(&text);
}

/// Whoever closed standard output does not want to know; the work is done all the same.
fn print(text: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _closed = stdout.write_all(text).and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_attachment_is_two_names_with_a_colon_between() {
        let id = attachment("blue:eth0").unwrap();
        assert_eq!((id.container.as_str(), id.ifname.as_str()), ("blue", "eth0"));
        assert!(matches!(attachment("blue"), Err(Error::Valid(text)) if text == "blue"));
        for bad in ["blue:", ":eth0", "blue:eth0:eth1", "../x:eth0"] {
            assert!(matches!(attachment(bad), Err(Error::ValidName { .. })), "{bad}");
        }
    }
}
