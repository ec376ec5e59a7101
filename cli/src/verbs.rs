//! CNI's own verbs: each loads a network and has the runtime's side of CNI do the work, as cnitool does. What they print is
//! the protocol's: JSON on standard output, errors too.
use crate::{
    args::{Cni, Target},
    error::Error,
    explain, plugins, registry, repair, say,
};
use cni::{
    AttachmentId, ErrorReply, Fail, Version,
    runtime::{Network, RuntimeAttachment},
};

/// What a command prints.
enum Output {
    /// Nothing.
    Nothing,
    /// An ADD's result.
    Result(serde_json::Value),
    /// Lines for a person.
    Text(String),
}

/// Does it, and prints the result or the error.
pub(crate) fn run(verb: Cni) -> u8 {
    let outcome = execute(verb);
    match &outcome {
        Ok(Output::Nothing) => {}
        Ok(Output::Result(result)) => say::json(result),
        Ok(Output::Text(text)) => say::text(text),
        Err(fail) => say::json(&ErrorReply::new(Version::LATEST.as_str(), &**fail)),
    }
    u8::from(outcome.is_err())
}

fn execute(verb: Cni) -> Result<Output, Fail> {
    let runtime = plugins::runtime();
    match verb {
        Cni::Add(target) => {
            let (network, at) = load(&target)?;
            refuse_behind_overlay(&network)?;
            return Ok(Output::Result(runtime.add(&network, &at)?));
        }
        Cni::Del(target) => {
            let (network, at) = load(&target)?;
            runtime.del(&network, &at)?;
        }
        Cni::Check { target, repair } => {
            let (network, at) = load(&target)?;
            if repair {
                say::text(&repair::attachment(&network, &at)?);
            }
            runtime.check(&network, &at)?;
        }
        Cni::Gc { conflist, valid } => {
            let valid = valid.iter().map(|text| attachment(text)).collect::<Result<Vec<_>, Error>>()?;
            runtime.gc(&Network::load(&conflist)?, &valid)?;
        }
        Cni::Status { conflist } => runtime.status(&Network::load(&conflist)?)?,
        Cni::Explain(target) => {
            let (network, at) = load(&target)?;
            refuse_behind_overlay(&network)?;
            return Ok(Output::Text(explain::text(&runtime, &network, &at)?));
        }
    }
    Ok(Output::Nothing)
}

fn load(target: &Target) -> Result<(Network, RuntimeAttachment), Fail> {
    let network = Network::load(&target.conflist)?;
    let at = RuntimeAttachment::from_env(&target.container, &target.netns, target.ifname.as_deref())?;
    Ok((network, at))
}

/// A plugin sees itself alone; who has the list sees who comes behind `overlay`, and that it would find nothing.
fn refuse_behind_overlay(network: &Network) -> Result<(), Error> {
    let mut behind = network.plugins.iter().skip_while(|plugin| plugin.kind != "overlay").skip(1);
    let other = behind.find(|plugin| registry::planner(&plugin.kind).is_none());
    other.map_or(Ok(()), |other| Err(Error::BehindOverlay { plugin: other.kind.clone() }))
}

/// `CONTAINER:IFNAME`. A container's ID has no colon, nor has an interface's name.
fn attachment(text: &str) -> Result<AttachmentId, Error> {
    let (container, ifname) = text.split_once(':').ok_or_else(|| Error::Valid(text.to_owned()))?;
    let wrong = |cause| Error::ValidName { value: text.to_owned(), cause };
    Ok(AttachmentId { container: container.parse().map_err(wrong)?, ifname: ifname.parse().map_err(wrong)? })
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
