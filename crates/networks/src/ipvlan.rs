//! The driver `ipvlan`: containers under the MAC address of the link that leads to their network; its options by docker's names.
use crate::{
    error::{Error, InvalidOption},
    lan::{PARENT, named},
    options::{self, MTU, SHORT_MTU},
};
use types::{IfName, IpvlanFlag, IpvlanMode};

const MODE: &str = "ipvlan_mode";
const FLAG: &str = "ipvlan_flag";

/// Every option there is.
const KNOWN: &[&str] = &[FLAG, MODE, MTU, PARENT, SHORT_MTU];

/// What they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ipvlan {
    /// The link that leads to the network.
    pub(crate) parent: IfName,
    /// Who routes for its containers.
    pub(crate) mode: IpvlanMode,
    /// Which frames pass between them.
    pub(crate) flag: IpvlanFlag,
    /// The MTU of their interfaces; by default the parent's.
    pub(crate) mtu: Option<u32>,
}

impl Ipvlan {
    /// Reads them; of two of one name the last one counts.
    pub(crate) fn read(given: &[(String, String)]) -> Result<Self, Error> {
        let (mut parent, mut mtu) = (None, None);
        let (mut mode, mut flag) = (IpvlanMode::default(), IpvlanFlag::default());
        for (key, value) in given {
            let mut take = || {
                match key.as_str() {
                    PARENT => parent = Some(named(value)?),
                    MODE => mode = value.parse().map_err(InvalidOption::Word)?,
                    FLAG => flag = value.parse().map_err(InvalidOption::Word)?,
                    MTU | SHORT_MTU => mtu = options::mtu(value)?,
                    _ => return Err(InvalidOption::unknown("ipvlan", KNOWN, key)),
                }
                Ok(())
            };
            take().map_err(|cause| Error::Option { key: key.clone(), cause })?;
        }
        let parent = parent.ok_or(Error::NoParent { driver: "ipvlan" })?;
        Ok(Self { parent, mode, flag, mtu })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Ipvlan, Error> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Ipvlan::read(&given.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn dockers_options_are_understood() {
        let plain = read(&[("parent", "eth0")]).unwrap();
        assert_eq!((plain.mode, plain.flag, plain.mtu), (IpvlanMode::L2, IpvlanFlag::Bridge, None));
        let all = [("parent", "eth0"), ("ipvlan_mode", "l3s"), ("ipvlan_flag", "vepa"), ("mtu", "1400")];
        let all = read(&all).unwrap();
        assert_eq!((all.mode, all.flag, all.mtu), (IpvlanMode::L3s, IpvlanFlag::Vepa, Some(1400)));
    }

    #[test]
    fn what_an_option_cannot_be_is_refused_and_a_parent_there_must_be() {
        assert!(matches!(read(&[]).unwrap_err(), Error::NoParent { driver: "ipvlan" }));
        for (key, value, said) in [
            ("ipvlan_mode", "l4", "none of l2, l3, l3s"),
            ("ipvlan_flag", "open", "none of bridge, private, vepa"),
            ("macvlan_mode", "bridge", "the ipvlan driver has no such option"),
        ] {
            let Error::Option { cause, .. } = read(&[(key, value)]).unwrap_err() else { panic!("{key}") };
            assert!(cause.to_string().contains(said), "{cause}");
        }
    }
}
