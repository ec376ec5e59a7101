//! `sealane network create`.
use super::{View, error::Error, shared};
use crate::{args, say};
use cni::Fail;
use networks::{Folder, Request};
use types::Prefix;

/// Makes the network, and prints its ID.
pub(crate) fn create(create: args::Create) -> Result<(), Fail> {
    let request = request(create)?;
    let (folder, host) = (Folder::from_env(), View::now()?.host());
    let made = match networks::etcd_of(&request)? {
        Some(etcd) => shared::create(&folder, &request, &host, &etcd)?,
        None => folder.create(&request, &host)?,
    };
    say::text(&format!("{}\n", made.id));
    Ok(())
}

fn request(create: args::Create) -> Result<Request, Error> {
    let prefixes = |what, given: &[String]| {
        let read = |text: &String| prefix(what, text);
        given.iter().map(read).collect::<Result<Vec<_>, _>>()
    };
    let label = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    let option = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(Error::NotKeyValue { what: "--opt", value: text.clone() }),
    };
    Ok(Request {
        subnets: prefixes("--subnet", &create.subnet)?,
        ip_ranges: prefixes("--ip-range", &create.ip_range)?,
        options: create.opt.iter().map(option).collect::<Result<_, _>>()?,
        labels: create.label.iter().map(label).collect(),
        name: create.network,
        driver: create.driver,
        gateways: create.gateway,
        ipv6: create.ipv6,
        internal: create.internal,
    })
}

fn prefix(what: &'static str, text: &str) -> Result<Prefix, Error> {
    text.parse().map_err(|cause| Error::Prefix { what, cause })
}
