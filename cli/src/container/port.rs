//! `sealane port`: where a container's ports are on the host.
use super::{
    error::Error,
    ports::{InvalidPort, ports_of, protocol_of},
    published::{Published, bindings, published},
    refusal::Refusal,
    registry::{Registry, State},
};
use crate::{
    args::{self, Format},
    say,
};
use cni::Fail;

/// Prints all ports of a container, or where one of them is.
pub(crate) fn port(port: &args::Port) -> Result<(), Fail> {
    let wanted = port.wanted.as_deref().map(private).transpose()?;
    let found = Registry::from_env()?.find(&port.container)?;
    let record = &found.record;
    let mut ports = if found.state == State::Running { published(record) } else { Vec::new() };
    if let Some(wanted) = &wanted {
        let mut known: Vec<_> = ports.iter().map(|port| port.key()).collect();
        known.dedup();
        ports.retain(|port| port.key() == *wanted);
        if ports.is_empty() {
            let (container, port, state) = (record.name.clone(), wanted.clone(), found.state);
            return Err(Error::NotPublished { container, port, state, known }.into());
        }
    }
    match port.format {
        Format::Json => say::json_line(&bindings(&ports)),
        Format::Table => say::text(&lines(&ports, wanted.is_some())),
    }
    Ok(())
}

/// As docker: who has named the port is not told it again.
fn lines(ports: &[Published], is_named: bool) -> String {
    let line =
        |port: &Published| if is_named { format!("{}\n", port.on_host()) } else { format!("{port}\n") };
    ports.iter().map(line).collect()
}

/// `80` or `80/udp`, as `80/tcp` or `80/udp`.
fn private(text: &str) -> Result<String, Refusal> {
    let read = || {
        let (number, protocol) = protocol_of(text)?;
        let range = ports_of(number)?;
        if range.len() == 1 {
            Ok(format!("{}/{protocol}", range.start()))
        } else {
            Err(InvalidPort::Several(range.len()))
        }
    };
    read().map_err(|why| Refusal::PrivatePort { value: text.to_owned(), why })
}
