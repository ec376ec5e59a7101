//! Names and addresses. Names are those of `/etc/hosts` (hosts(5)): a container's has everybody on its networks.
use super::error::Error;
use std::{fs, net::IpAddr};

const HOSTS: &str = "/etc/hosts";

/// The address that is meant: the text itself, or the first one with this name.
pub(crate) fn address(host: &str, wanted: fn(&IpAddr) -> bool) -> Result<IpAddr, Error> {
    if let Ok(address) = host.parse() {
        return if wanted(&address) { Ok(address) } else { Err(Error::Family { address }) };
    }
    // A file that can't be read has no names; that is what the person learns.
    let hosts = fs::read_to_string(HOSTS).unwrap_or_default();
    addresses(&hosts, host).find(wanted).ok_or_else(|| Error::UnknownHost { host: host.into() })
}

/// Every address of a name, in the file's order. Names do not mind upper and lower case (RFC 4343).
fn addresses(hosts: &str, name: &str) -> impl Iterator<Item = IpAddr> {
    hosts.lines().filter_map(move |line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str = "\
        127.0.0.1\tlocalhost # not me\n\
        ::1 localhost ip6-localhost\n\
        # 10.0.0.9 catserver\n\
        nonsense catserver\n\
        10.201.0.2  catserver catserver.test 0123456789ab\n\
        fd00::2 catserver\n";

    fn found(name: &str) -> Vec<String> {
        addresses(HOSTS, name).map(|address| address.to_string()).collect()
    }

    #[test]
    fn a_name_may_have_addresses_of_both_families() {
        assert_eq!(found("catserver"), ["10.201.0.2", "fd00::2"]);
        assert_eq!(found("localhost"), ["127.0.0.1", "::1"]);
    }

    #[test]
    fn every_name_of_a_line_counts_in_any_case() {
        assert_eq!(found("CatServer.Test"), ["10.201.0.2"]);
        assert_eq!(found("0123456789ab"), ["10.201.0.2"]);
    }

    #[test]
    fn comments_and_addresses_are_no_names() {
        for name in ["not", "me", "10.0.0.9", "127.0.0.1", "", "cat"] {
            assert_eq!(found(name), Vec::<String>::new(), "{name:?}");
        }
    }

    #[test]
    fn an_address_of_the_other_family_is_refused_with_the_address() {
        let refused = address("::1", IpAddr::is_ipv4).unwrap_err();
        assert_eq!(refused.to_string(), "::1 is an IPv6 address, and -4 asks for IPv4");
    }
}
