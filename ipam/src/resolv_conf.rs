//! Reads a file like resolv.conf(5) into a result's `dns`, as the reference does: unknown lines are skipped, the last `domain`
//! wins, `nameserver` has one address a line, `search` and `options` add up.
use crate::error::Error;
use cni::Dns;
use nix::fcntl::OFlag;
use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// More than any resolver reads.
const LIMIT: u64 = 1 << 20;

/// The settings in the file. A device or a pipe in its place cannot make the plugin wait.
pub(crate) fn read(path: &Path) -> Result<Dns, Error> {
    let bytes = contents(path).map_err(|cause| Error::ResolvConf { path: path.to_owned(), cause })?;
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        let mut words = line.split_whitespace().map(str::to_owned);
        let (Some(key), Some(value)) = (words.next(), words.next()) else { continue };
        match key.as_str() {
            "nameserver" => dns.nameservers.push(value),
            "domain" => dns.domain = Some(value),
            "search" => dns.search.extend(std::iter::once(value).chain(words)),
            "options" => dns.options.extend(std::iter::once(value).chain(words)),
            _ => {}
        }
    }
    dns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_resolv_conf_is_read() {
        let dns = parse(
            "# nameserver 9.9.9.9\n;options x\n\n  nameserver 1.1.1.1 junk\nnameserver fd00::1\nnameserver\n\
             domain a.example\ndomain b.example\nsearch a b\nsearch c\r\noptions ndots:1 trust-ad\nsortlist 10.0.0.0\n",
        );
        assert_eq!(dns.nameservers, ["1.1.1.1", "fd00::1"]);
        assert_eq!(dns.domain.as_deref(), Some("b.example"));
        assert_eq!(dns.search, ["a", "b", "c"]);
        assert_eq!(dns.options, ["ndots:1", "trust-ad"]);
    }
}
