//! What `run` is asked for: the words of the command line, read and judged.
use super::{
    error::Error, id::Id, known::OwnName, ports::Port, record::Wanted, refusal::Refusal, registry::is_name,
};
use crate::args;
use serde::{Deserialize, Serialize};
use std::{env, ffi::OsString, path::PathBuf};
use types::Mac;

/// The longest name that the kernel takes for a host (`__NEW_UTS_LEN`).
const LONGEST_HOSTNAME: usize = 64;

/// A container that is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The ID it will have.
    pub(crate) id: Id,
    /// Its name; one is made up if there is none.
    pub(crate) name: Option<String>,
    /// It is to be forgotten when it has ended.
    pub(crate) remove: bool,
    /// It is to run in the background.
    pub(crate) detached: bool,
    /// In the background, its standard input is open although nothing comes.
    pub(crate) waits: bool,
    /// Its networks as they were typed.
    pub(crate) networks: Vec<String>,
    /// What it is to have on the first of them. Aliases are for all.
    pub(crate) wanted: Wanted,
    /// Its host name.
    pub(crate) hostname: Option<String>,
    /// Variables.
    pub(crate) env: Vec<(String, String)>,
    /// Notes.
    pub(crate) labels: Vec<(String, String)>,
    /// Names for itself alone.
    pub(crate) own_names: Vec<OwnName>,
    /// Ports to publish.
    pub(crate) ports: Vec<Port>,
    /// The folder the command begins in.
    pub(crate) workdir: Option<PathBuf>,
    /// The command.
    pub(crate) command: Vec<OsString>,
}

impl Order {
    /// What this command line asks for; refuses what can be refused without a look at anything else.
    pub(crate) fn read(run: &args::Run) -> Result<Self, Error> {
        if let Some(name) = run.name.as_ref().filter(|name| !is_name(name)) {
            return Err(Refusal::Name(name.clone()).into());
        }
        let hostname =
            run.hostname.as_deref().map(|name| host_name("host name", name, LONGEST_HOSTNAME)).transpose()?;
        Ok(Self {
            id: Id::random()?,
            name: run.name.clone(),
            remove: run.rm,
            detached: run.detach,
            waits: run.terminal.interactive || run.terminal.tty,
            networks: run.network.clone(),
            wanted: Wanted {
                ip: run.ip,
                ip6: run.ip6,
                mac: run.mac_address.as_deref().map(mac).transpose()?,
                aliases: aliases(&run.network_alias)?,
                ports: Vec::new(),
            },
            hostname,
            env: variables(&run.env)?,
            labels: run.label.iter().map(|text| label(text)).collect::<Result<_, _>>()?,
            own_names: run.add_host.iter().map(|text| OwnName::parse(text)).collect::<Result<_, _>>()?,
            ports: Port::all(&run.publish)?,
            workdir: run
                .workdir
                .as_ref()
                .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            command: run.command.clone(),
        })
    }
}

fn mac(text: &str) -> Result<Mac, Refusal> {
    let mac: Mac = text.parse()?;
    let [first, ..] = mac.octets();
    if first & 1 == 0 { Ok(mac) } else { Err(Refusal::GroupMac(mac)) }
}

/// What follows `--alias`.
pub(crate) fn aliases(given: &[String]) -> Result<Vec<String>, Refusal> {
    given.iter().map(|alias| host_name("alias", alias, usize::MAX)).collect()
}

/// What follows `-e`: a variable without a value has the one it has here; if it has none here, there is none.
pub(crate) fn variables(given: &[String]) -> Result<Vec<(String, String)>, Refusal> {
    let variable = |text: &String| match text.split_once('=') {
        Some(("", _)) => Err(Refusal::Variable(text.clone())),
        Some((key, value)) => Ok(Some((key.to_owned(), value.to_owned()))),
        None if text.is_empty() => Err(Refusal::Variable(text.clone())),
        None => Ok(env::var(text).ok().map(|value| (text.clone(), value))),
    };
    given.iter().filter_map(|text| variable(text).transpose()).collect()
}

fn label(text: &str) -> Result<(String, String), Refusal> {
    match text.split_once('=').unwrap_or((text, "")) {
        ("", _) => Err(Refusal::Label(text.to_owned())),
        (key, value) => Ok((key.to_owned(), value.to_owned())),
    }
}

/// What can stand in a hosts file.
pub(crate) fn host_name(what: &'static str, name: &str, longest: usize) -> Result<String, Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if first && name.bytes().all(allowed) && name.len() <= longest {
        Ok(name.to_owned())
    } else {
        Err(Refusal::Host { what, value: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_split_at_the_first_equals_sign_and_may_be_taken_from_here() {
        let given = ["A=1=2", "B=", "PATH", "SURELY_NOT_SET_HERE"].map(str::to_owned);
        let path = env::var("PATH").unwrap();
        let expected = [("A", "1=2"), ("B", ""), ("PATH", &path)];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(variables(&given).unwrap(), expected);
        assert!(matches!(variables(&["=x".to_owned()]), Err(Refusal::Variable(text)) if text == "=x"));
    }

    #[test]
    fn what_would_break_a_hosts_file_is_no_alias() {
        assert_eq!(aliases(&["db".to_owned(), "_x.y-z".to_owned()]).unwrap(), ["db", "_x.y-z"]);
        for bad in ["", "a b", "a\nb", "a#b", "-a", "é"] {
            assert!(
                matches!(aliases(&[bad.to_owned()]), Err(Refusal::Host { value, .. }) if value == bad),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_label_needs_a_key() {
        assert_eq!(label("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert_eq!(label("a").unwrap(), ("a".to_owned(), String::new()));
        assert!(label("=b").is_err() && label("").is_err());
    }
}
