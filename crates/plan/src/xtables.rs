//! Steps that go by iptables.
use crate::{
    act::{Act, Work},
    error::Error,
    places::{Place, Places},
    step::{
        IptForward, IptIsolation, IptMasquerade, IptPublish, LeftForward, LeftMacCheck, LeftMasquerade,
        LeftPublish,
    },
};

macro_rules! acts {
    ($($name:ident),*) => {
        $(impl Act for $name {
            fn place(&self) -> Place {
                Place::Host
            }

            fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
                Ok(Work::Nothing)
            }

            fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
                Ok(None)
            }
        })*
    };
}
acts!(
    IptMasquerade,
    IptPublish,
    IptForward,
    IptIsolation,
    LeftMasquerade,
    LeftPublish,
    LeftForward,
    LeftMacCheck
);
