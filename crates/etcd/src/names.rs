//! Names of hosts, as `/etc/hosts` has them (hosts(5)).
use std::{fs, io, net::IpAddr};

/// The address of a name; none if the file has no such name.
pub(crate) fn address_of(name: &str) -> io::Result<Option<IpAddr>> {
    Ok(find(name, &fs::read_to_string(FILE)?))
}

fn find(name: &str, hosts: &str) -> Option<IpAddr> {
    hosts.lines().find_map(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    })
}

const FILE: &str = "/etc/hosts";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_with_the_name_says_the_address() {
        let hosts = "# 192.0.2.9 etcd-1\n192.0.2.1\tetcd-1.example  ETCD-1 # the first\nnonsense etcd-2\n::1 etcd-1 etcd-2\n";
        assert_eq!(find("etcd-1", hosts), "192.0.2.1".parse().ok());
        assert_eq!(find("etcd-2", hosts), "::1".parse().ok());
        assert_eq!(find("first", hosts), None);
        assert_eq!(find("192.0.2.1", hosts), None);
    }
}
