//! Neighbours.
use crate::{errno, send, trials, up};
use kernel::{Errno, neigh};
use libtest_mimic::Trial;
use std::net::IpAddr;
use types::Mac;

pub(crate) fn trials() -> Vec<Trial> {
    trials![neigh:
        a_neighbour_is_set_read_back_and_forgotten,
    ]
}

fn a_neighbour_is_set_read_back_and_forgotten() {
    let (_host, container, mut inside, eth0) = up();
    let [mac, other]: [Mac; 2] = ["02:00:00:00:00:07", "02:00:00:00:00:08"].map(|text| text.parse().unwrap());
    for address in ["10.9.0.7", "fd09::7"] {
        let address: IpAddr = address.parse().unwrap();
        for mac in [mac, other] {
            send(&mut inside, neigh::set(eth0, address, mac)).unwrap();
            assert_eq!(neigh::permanent(&mut inside, eth0).unwrap(), [(address, mac)]);
        }
        let seen = &container.ip(&format!("neigh show {address}")).unwrap()[0];
        assert_eq!((&seen["lladdr"], &seen["state"][0]), (&other.to_string().into(), &"PERMANENT".into()));
        send(&mut inside, neigh::forget(eth0, address)).unwrap();
        assert_eq!(neigh::permanent(&mut inside, eth0).unwrap(), []);
        assert_eq!(errno(send(&mut inside, neigh::forget(eth0, address))), Errno::ENOENT);
    }
    assert_eq!(neigh::permanent(&mut inside, 4711).unwrap(), []);
}
