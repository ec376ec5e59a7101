//! What a step has in the packet filter where that is elements alone: keys without values, in sets of one section.
use crate::{error::Error, filter::Section, places::Places, step::Step};
use kernel::nft::{Element, Family, Field, Set, Transaction};

/// Elements of one step.
pub(crate) struct Elements {
    /// The section that their sets are in.
    pub(crate) section: Section,
    /// Each in its set.
    pub(crate) keys: Vec<(Set, Vec<Field>)>,
}

impl Elements {
    /// The change that puts them in, once their section is there.
    pub(crate) fn adding(&self) -> Transaction {
        let mut change = Transaction::default();
        for (set, key) in &self.keys {
            change.add_element(set, &Element { key: key.clone(), value: None, comment: None });
        }
        change
    }

    /// Puts them in behind another change, unless they are there: as those of a step whose users are counted under this name. It goes
    /// with its last user, so nothing of it is reversed by itself.
    pub(crate) fn ensure(
        &self,
        thing: &str,
        step: &Step,
        mut change: Transaction,
        places: &mut Places,
    ) -> Result<(), Error> {
        if places.is_made(thing)? {
            return Ok(());
        }
        change.append(self.adding());
        let put = places.filter.put(&[&self.section], &change);
        put.map_err(|cause| Error::Step { step: step.to_string(), cause })?;
        places.mark_made(thing, step)
    }

    /// Takes out those that are there.
    pub(crate) fn clear(&self, places: &mut Places) -> Result<(), Error> {
        let mut change = Transaction::default();
        self.keys.iter().for_each(|(set, key)| change.delete_element(set, key));
        Ok(places.filter.clear(&change)?)
    }

    /// What of them, or of their section, is missing or changed, in words; `None` if nothing is.
    pub(crate) fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let nft = places.filter.nft()?;
        for (set, key) in &self.keys {
            if nft.element(set, key)?.is_none() {
                let bridge = if set.table.family == Family::Bridge { "bridge " } else { "" };
                let missing =
                    format!("set {} of {bridge}table {} does not have it", set.name, set.table.name);
                return Ok(Some(missing));
            }
        }
        Ok(self.section.differs(nft)?)
    }
}
