//! Whether a link of a place is still the one that it was, whatever has been done to it: by its number, and by what the kernel alone gives ([`LinkId`]).
//!
//! A name, an address and a mark can be another link's a moment later, and a number in whichever namespace its root makes links. The inode of a link's
//! folder in sysfs can't: what has that is it, and nothing else is.
use crate::{
    error::Error,
    places::{Place, Places},
};
use kernel::{
    Link,
    link::{self, LinkId},
    sysfs::Folders,
};

/// Whether links can be told apart so where they are looked for.
pub(super) fn can_be_told(places: &mut Places) -> Result<bool, Error> {
    let place = if places.has_container() { Place::Container } else { Place::Host };
    places.within(place, || Folders::here().is_some())
}

/// The link, if it is in a place and has its number there. A sysfs is mounted, which costs, only if something has that.
pub(super) fn numbered(places: &mut Places, place: Place, id: LinkId) -> Result<Option<Link>, Error> {
    let is_it = places.within(place, || link::is_numbered(id.index))??
        && places.identify(place, id.index)?.folder == id.folder;
    if is_it { look_up(places, place, id.index) } else { Ok(None) }
}

/// The link, if it is in a place, under whichever number.
pub(super) fn find(places: &mut Places, place: Place, id: LinkId) -> Result<Option<Link>, Error> {
    // Where links can't be told apart, what has the number may be any.
    let look = || Folders::here().map_or(Ok(None), |folders| id.find(Some(&folders)));
    let number = places.within(place, look)??;
    number.map_or(Ok(None), |number| look_up(places, place, number))
}

fn look_up(places: &mut Places, place: Place, number: u32) -> Result<Option<Link>, Error> {
    Ok(link::numbered_whatever_called(places.rtnl(place)?, number)?)
}
