//! Why the kernel refuses a link because of others that are on the same parent: it has one word for much of that (`EINVAL`), and names
//! nobody. The records know who it is, and the host's own links. And of a MAC address that two ask for the kernel may say nothing at all.
use crate::{
    Step,
    error::Error,
    host_port::Holder,
    places::{Place, Places},
    step::{Link, Parent, Route},
    ways::take_place,
};
use kernel::{Errno, Message, link, route};
use types::{IfName, LinkKind, Mac, MacvlanMode, Prefix};

/// Whose way it is in.
#[derive(Debug, thiserror::Error)]
pub enum Crowded {
    /// Of a parent's macvlan links one in the mode passthru is the only one.
    #[error(
        "\"{parent}\" has a macvlan in mode {found}{}, and one in mode passthru has its parent alone",
        of(.by.as_deref())
    )]
    Passthru {
        /// The parent.
        parent: IfName,
        /// The mode of the link that is there.
        found: MacvlanMode,
        /// Whose it is, if that is known.
        by: Option<Box<Holder>>,
    },
    /// The parent's frames go to something else already.
    #[error("\"{parent}\" is a port of \"{master}\", and nothing else can be on it")]
    Port {
        /// The parent.
        parent: IfName,
        /// What it is a port of.
        master: IfName,
    },
    /// Beside macvlan there is no ipvlan on a parent, and none the other way round.
    #[error(
        "\"{parent}\" has {found}{}{}, and so can't have {wanted}",
        .link.as_ref().map_or(String::new(), |link| format!(", \"{link}\"")),
        of(.by.as_deref())
    )]
    Driver {
        /// The parent.
        parent: IfName,
        /// The driver of what was asked for.
        wanted: &'static str,
        /// The driver of what is there.
        found: String,
        /// The link that is there, if it is in the parent's namespace.
        link: Option<IfName>,
        /// Whose it is, if that is known.
        by: Option<Box<Holder>>,
    },
    /// The parent's frames go to something that is not to be seen.
    #[error("\"{parent}\" can't have {wanted}: something else takes its frames")]
    Hidden {
        /// The parent.
        parent: IfName,
        /// The driver of what was asked for.
        wanted: &'static str,
    },
    /// Of a parent each VLAN has one link.
    #[error("{vlan} of \"{parent}\" has a link already{}", of(.by.as_deref()))]
    Vlan {
        /// The VLAN, as a kind of link.
        vlan: LinkKind,
        /// The parent.
        parent: IfName,
        /// Whose it is, if that is known.
        by: Option<Box<Holder>>,
    },
    /// All ipvlan links on a parent are in one mode, with one flag.
    #[error("\"{parent}\" has {found}{}, and so can't have {wanted}", of(.by.as_deref()))]
    Ipvlan {
        /// The parent.
        parent: IfName,
        /// What was asked for.
        wanted: LinkKind,
        /// What is there.
        found: LinkKind,
        /// Whose it is, if that is known.
        by: Option<Box<Holder>>,
    },
    /// Another attachment of the network has the MAC address.
    #[error("MAC address {mac} is in use: it is that of {by}")]
    MacOnNetwork {
        /// The address.
        mac: Mac,
        /// Whose it is.
        by: Box<Holder>,
    },
    /// The host has the MAC address, on the bridge that the container's interface is to be on.
    #[error("MAC address {mac} is in use on bridge \"{bridge}\": it is that of \"{link}\" on the host")]
    MacOnBridge {
        /// The address.
        mac: Mac,
        /// The bridge.
        bridge: IfName,
        /// The link that has it: the bridge itself, or one on it.
        link: IfName,
    },
    /// The host's packets to an address go to another container, or elsewhere.
    #[error("{address} is routed through \"{link}\" already{}", of(.by.as_deref()))]
    Route {
        /// The address, as a prefix of its whole length.
        address: Prefix,
        /// The link that leads there.
        link: IfName,
        /// Whose it is, if that is known.
        by: Option<Box<Holder>>,
    },
    /// Another link on the parent, or the parent itself, has the MAC address.
    #[error(
        "MAC address {mac} is in use on the link that \"{link}\" is on{}{}",
        of(.by.as_deref()),
        .of_host.as_ref().map_or(String::new(), |link| format!(", that of \"{link}\" on the host"))
    )]
    Mac {
        /// The address.
        mac: Mac,
        /// The container's interface.
        link: IfName,
        /// The host's link that has it, if one has.
        of_host: Option<IfName>,
        /// Whose it is, if that is known.
        by: Option<Box<Holder>>,
    },
}

impl Crowded {
    /// Whether it may be otherwise in a moment: a namespace that has gone has its links a little longer.
    pub fn may_pass(&self) -> bool {
        match self {
            Crowded::Vlan { by: None, .. } | Crowded::Mac { by: None, of_host: None, .. } => true,
            other => matches!(other, Crowded::Hidden { .. }),
        }
    }

    /// What the person does next.
    pub fn hint(&self) -> String {
        match self {
            Crowded::Passthru { found: MacvlanMode::Passthru, by: Some(by), .. } => {
                stop(by, "set \"master\" to another link")
            }
            Crowded::Passthru { .. } => {
                "set \"master\" to another link, or \"mode\" to bridge for all that are on this one".into()
            }
            Crowded::Ipvlan { parent, by, .. } => as_all_on(parent, by.as_deref()),
            Crowded::Vlan { by: Some(by), .. } => stop(by, "set \"vlanId\" or \"master\" to another"),
            Crowded::Vlan { by: None, vlan, parent } => {
                format!(
                    "one of a namespace that is just going is gone the next time, and `ip -d link` shows the host's own; set \"master\" to it, or have another one than {vlan} of {parent}"
                )
            }
            Crowded::Driver { by: Some(by), .. } => {
                format!("stop all like {}, or set \"master\" to another link", by.brief())
            }
            Crowded::Driver { link, .. } => {
                let delete = link.as_ref().map_or(String::new(), |link| format!(", or delete {link}"));
                format!("set \"master\" to another link{delete}")
            }
            Crowded::Hidden { parent, .. } => {
                format!(
                    "a macvlan or ipvlan of a namespace that is just going is gone the next time; else one of another suite's container may be on {parent}, or a switch such as Open vSwitch has it: set \"master\" to another link"
                )
            }
            Crowded::Port { master, .. } => format!("set \"master\" to {master}, or to another link"),
            Crowded::Route { by: Some(by), .. } => stop(by, "give the two networks subnets of their own"),
            Crowded::Route { by: None, address, link } => {
                format!(
                    "try again: it may be that of an ADD or DEL that was at work; if it stays, `ip route del {address} dev {link}`"
                )
            }
            // Who asked for none may be refused, too.
            Crowded::Mac { by: Some(by), .. } | Crowded::MacOnNetwork { by, .. } => {
                stop(by, "ask for another MAC address")
            }
            Crowded::MacOnBridge { link, .. } | Crowded::Mac { of_host: Some(link), .. } => {
                format!("`ip link show {link}` shows it; ask for another MAC address, or for none")
            }
            Crowded::Mac { .. } => {
                "that of a namespace that is just going is free the next time; else another suite's container may have it: ask for another MAC address, or for none".into()
            }
        }
    }
}

fn as_all_on(parent: &IfName, by: Option<&Holder>) -> String {
    let stop = by.map_or(String::new(), |by| format!(", or stop {}", by.brief()));
    format!("set \"mode\" and \"flag\" as for all on {parent}, or \"master\" to another link{stop}")
}

fn stop(by: &Holder, or: &str) -> String {
    format!("stop {}, or {or}", by.brief())
}

fn of(by: Option<&Holder>) -> String {
    by.map_or(String::new(), |by| format!(", that of {by}"))
}

/// What the refusal to make this link means, if it is because of others.
pub(crate) fn refusal(made: &Link, cause: &kernel::Error, places: &mut Places) -> Option<Crowded> {
    let parent = made.parent.as_ref()?;
    match cause.errno()? {
        Errno::EBUSY => taken(made, parent, places).ok(),
        Errno::EEXIST if made.kind.driver() == "vlan" => vlan_taken(made.kind, parent, places).ok(),
        Errno::EINVAL => {
            let LinkKind::Macvlan { mode, .. } = made.kind else { return None };
            let (found, by) = first_on_the_parent(made, mode, places).ok()??;
            Some(Crowded::Passthru { parent: parent.name.clone(), found, by: by.map(Box::new) })
        }
        _ => None,
    }
}

/// What takes the parent's frames: of a link one thing does (`rx_handler` in `linux/netdevice.h`), all links on it of one driver, or what it is a port of.
fn taken(made: &Link, parent: &Parent, places: &mut Places) -> Result<Crowded, Error> {
    let (wanted, name) = (made.kind.driver(), || parent.name.clone());
    let others = if wanted == "macvlan" { ["ipvlan", "ipvtap"] } else { ["macvlan", "macvtap"] };
    let theirs = |step: &Step| match step {
        Step::Link(link) if link.parent.as_ref() == Some(parent) => {
            Some(link.kind.driver()).filter(|driver| others.contains(driver))
        }
        _ => None,
    };
    // A parent in a container has the name of many.
    if parent.place == Place::Host
        && let Some((holder, found)) = places.state()?.who(theirs)?
    {
        let by = Some(Box::new(holder));
        return Ok(Crowded::Driver { parent: name(), wanted, found: found.to_owned(), link: None, by });
    }
    let links = link::links(places.rtnl(parent.place)?)?;
    let below = links.iter().find(|link| link.name == parent.name);
    let is_other = |link: &&kernel::Link| {
        link.peer == below.map(|below| below.index)
            && link.kind.as_deref().is_some_and(|driver| others.contains(&driver))
    };
    if let Some(kernel::Link { name: link, kind: Some(found), .. }) = links.iter().find(is_other) {
        let (found, link) = (found.clone(), Some(link.clone()));
        return Ok(Crowded::Driver { parent: name(), wanted, found, link, by: None });
    }
    let master = below.and_then(|below| links.iter().find(|link| Some(link.index) == below.master));
    // A VRF leaves its ports their frames.
    Ok(match master.filter(|master| master.kind.as_deref() != Some("vrf")) {
        Some(master) => Crowded::Port { parent: name(), master: master.name.clone() },
        None => Crowded::Hidden { parent: name(), wanted },
    })
}

/// Who has this VLAN of that link, which has one.
pub(crate) fn vlan_taken(vlan: LinkKind, parent: &Parent, places: &mut Places) -> Result<Crowded, Error> {
    let theirs = |step: &Step| match step {
        Step::Link(link) if link.kind == vlan && link.parent.as_ref() == Some(parent) => Some(()),
        _ => None,
    };
    let by = places.state()?.who(theirs)?.map(|(holder, ())| Box::new(holder));
    Ok(Crowded::Vlan { vlan, parent: parent.name.clone(), by })
}

/// A macvlan that is in the way of one of this mode: of an attachment that lives, else one of the host's.
fn first_on_the_parent(
    made: &Link,
    wanted: MacvlanMode,
    places: &mut Places,
) -> Result<Option<(MacvlanMode, Option<Holder>)>, Error> {
    let is_in_the_way = |kind: LinkKind| match kind {
        LinkKind::Macvlan { mode, .. }
            if wanted == MacvlanMode::Passthru || mode == MacvlanMode::Passthru =>
        {
            Some(mode)
        }
        _ => None,
    };
    let Some(parent) = made.parent.as_ref().filter(|parent| parent.place == Place::Host) else {
        return Ok(None);
    };
    let theirs = |step: &Step| match step {
        Step::Link(link) if link.parent.as_ref() == Some(parent) => is_in_the_way(link.kind),
        _ => None,
    };
    if let Some((holder, mode)) = places.state()?.who(theirs)? {
        return Ok(Some((mode, Some(holder))));
    }
    let index = places.index(parent.place, &parent.name)?;
    let links = link::links(places.rtnl(Place::Host)?)?;
    let mut own = links.iter().filter(|link| link.peer == Some(index)).filter_map(|link| link.driver);
    Ok(own.find_map(is_in_the_way).map(|mode| (mode, None)))
}

/// How a route is made that was refused because of another one to the same place; none if that is a living container's. The reference's plugins
/// take no offence at one that is nobody's of ours, and leave it the packets.
pub(crate) fn beside_route(
    route: &Route,
    cause: &kernel::Error,
    places: &mut Places,
) -> Option<fn(&route::Route) -> Message> {
    if !is_beside_another(route, cause) || !take_place(route, places).ok()? {
        return None;
    }
    let is_theirs = |step: &Step| leads_to(route, step).is_some_and(|link| *link != route.link);
    // The kernel takes the link of a namespace that has gone a little later.
    let of_the_dead = places.state().and_then(|state| state.announces(is_theirs)).ok()?;
    Some(if of_the_dead { route::add } else { route::add_last })
}

/// What the refusal to make this route means, if it is because of another one to the same place.
pub(crate) fn refusal_of_route(route: &Route, cause: &kernel::Error, places: &mut Places) -> Option<Crowded> {
    if !is_beside_another(route, cause) {
        return None;
    }
    let (by, link) = match holder_of_route(route, places).ok()? {
        Some((holder, link)) => (Some(Box::new(holder)), link),
        None => (None, route.link.clone()),
    };
    Some(Crowded::Route { address: route.dst, link, by })
}

fn is_beside_another(route: &Route, cause: &kernel::Error) -> bool {
    route.alone && route.place == Place::Host && cause.errno() == Some(Errno::EEXIST)
}

/// The living attachment that has another route to the same place, or is about to have it, and the link of that.
pub(crate) fn holder_of_route(route: &Route, places: &mut Places) -> Result<Option<(Holder, IfName)>, Error> {
    let state = places.state()?;
    // Who is attached has it; of those who are not, only one can.
    match state.who(|step| leads_to(route, step).cloned())? {
        None => state.who_else_began(places.whose(), |step| leads_to(route, step).cloned()),
        found => Ok(found),
    }
}

/// The link through which a step of a record leads to the same place.
fn leads_to<'a>(route: &Route, step: &'a Step) -> Option<&'a IfName> {
    match step {
        Step::Route(it) if (it.place, it.dst, it.table) == (route.place, route.dst, route.table) => {
            Some(&it.link)
        }
        _ => None,
    }
}

/// What the refusal to bring this interface up means, if it is because of what it is on.
pub(crate) fn refusal_up(
    (place, name): (Place, &IfName),
    cause: &kernel::Error,
    places: &mut Places,
) -> Option<Crowded> {
    if cause.errno()? != Errno::EADDRINUSE {
        return None;
    }
    let interface = places.link(place, name).ok()??;
    let mac = interface.mac?;
    let theirs = |step: &Step| match step {
        Step::Link(link) if link.mac == Some(mac) => Some(()),
        _ => None,
    };
    let by = places.state().and_then(|state| state.who(theirs)).ok()?;
    let of_host = match by {
        None => on_the_host(mac, interface.peer, places),
        Some(_) => None,
    };
    let by = by.map(|(holder, ())| Box::new(holder));
    Some(Crowded::Mac { mac, link: name.clone(), of_host, by })
}

/// The host's link that has this address, of those on the link of this number and that itself.
fn on_the_host(mac: Mac, below: Option<u32>, places: &mut Places) -> Option<IfName> {
    let links = link::links(places.rtnl(Place::Host).ok()?).ok()?;
    let is_there = |link: &kernel::Link| Some(link.index) == below || link.peer == below;
    links.into_iter().find(|link| link.mac == Some(mac) && is_there(link)).map(|link| link.name)
}
