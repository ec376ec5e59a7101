//! Routes as they come, told by the kernel to whoever listens.
use super::RouteTo;
use crate::Error;
use futures_util::StreamExt as _;
use netlink_packet_core::NetlinkPayload;
use rtnetlink::MulticastGroup;
use tokio::task::JoinHandle;

/// Somebody who listens for routes in one network namespace, until the value goes.
#[derive(Debug)]
pub struct ComingRoutes {
    tasks: [JoinHandle<()>; 2],
}

impl ComingRoutes {
    /// Tells of every route of IPv4 that comes into the network namespace that the calling thread is in, from now on, new or in place of another
    /// (`RTNLGRP_IPV4_ROUTE`, rtnetlink(7)). Must be called on a tokio runtime with I/O.
    pub fn open(mut tell: impl FnMut(RouteTo) + Send + 'static) -> Result<Self, Error> {
        let (connection, _handle, mut events) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Ipv4Route])
                .map_err(|cause| Error::io("listen for routes", &cause))?;
        let telling = async move {
            while let Some((event, _)) = events.next().await {
                if let NetlinkPayload::InnerMessage(message) = event.payload {
                    RouteTo::read(&message).into_iter().for_each(&mut tell);
                }
            }
        };
        Ok(Self { tasks: [tokio::spawn(connection), tokio::spawn(telling)] })
    }
}

impl Drop for ComingRoutes {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
