//! Whose parameter it is: the kernel has those of an interface under its name, which the container's root can change, and give to another.
use super::{parameters::Parameter, spread::GENERAL};
use kernel::{
    link::{self, LinkId},
    sysfs::Folders,
};
use std::{cell::OnceCell, collections::BTreeMap};
use types::IfName;

/// The interfaces of the namespace that the thread is in, looked for once each.
#[derive(Default)]
pub(super) struct Interfaces {
    folders: OnceCell<Option<Folders>>,
    named: BTreeMap<String, Option<LinkId>>,
    found: BTreeMap<(u32, Option<u64>), Option<IfName>>,
}

impl Parameter {
    /// The interface that it is one of.
    fn interface(&self) -> Option<&str> {
        match self.path.as_slice() {
            [_, folder, name, _] if FOLDERS.contains(&folder.as_str()) => {
                Some(name.as_str()).filter(|name| !GENERAL.contains(name))
            }
            _ => None,
        }
    }
}

/// Those in which each interface has a folder.
const FOLDERS: [&str; 2] = ["conf", "neigh"];

impl Interfaces {
    /// Notes whose each of these is.
    pub(super) fn note(&mut self, parameters: &mut [Parameter]) -> Result<(), kernel::Error> {
        for parameter in parameters {
            parameter.link = parameter.interface().map(|name| self.id_of(name)).transpose()?.flatten();
        }
        Ok(())
    }

    /// The parameter under the name that its interface has by now; none if that is gone. Of an earlier release's it is not known whose it is.
    pub(super) fn find(&mut self, parameter: &Parameter) -> Result<Option<Parameter>, kernel::Error> {
        let Some(id) = parameter.link else { return Ok(Some(parameter.clone())) };
        let name = self.name_of(id)?;
        Ok(name.map(|name| {
            let mut found = parameter.clone();
            if let Some(part) = found.path.get_mut(2) {
                *part = name.to_string();
            }
            found
        }))
    }

    fn id_of(&mut self, name: &str) -> Result<Option<LinkId>, kernel::Error> {
        if let Some(id) = self.named.get(name) {
            return Ok(*id);
        }
        let id = link::index_of(name)?.map(|index| LinkId::new(index, self.folders())).transpose()?;
        self.named.insert(name.to_owned(), id);
        Ok(id)
    }

    fn name_of(&mut self, id: LinkId) -> Result<Option<IfName>, kernel::Error> {
        if let Some(name) = self.found.get(&(id.index, id.folder)) {
            return Ok(name.clone());
        }
        let name = id.find(self.folders())?.map(link::name_of).transpose()?.flatten();
        self.found.insert((id.index, id.folder), name.clone());
        Ok(name)
    }

    fn folders(&self) -> Option<&Folders> {
        self.folders.get_or_init(Folders::here).as_ref()
    }
}
