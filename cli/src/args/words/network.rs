//! What is said below the options of `sealane network` and `sealane node`.

pub(in super::super) const NETWORK: &str = "\
Examples:
  sealane network create test
  sealane network ls
  sealane network connect test bobcatserver
  sealane network inspect test
  sealane network rm test";

pub(in super::super) const NETWORK_MORE: &str = "\
Files:
  /etc/cni/net.d/sealane-NAME.conflist    the network NAME; others there are networks too

Environment:
  NETCONFPATH                             the folder of networks, instead of /etc/cni/net.d";

pub(in super::super) const NODE: &str = "\
Examples:
  sealane node ls
  sealane node ls --format json
  sealane node rm worker-3          # its machine is gone for ever";

pub(in super::super) const REMOVE_NODE: &str = "\
Examples:
  sealane node rm worker-3";

pub(in super::super) const REMOVE_NODE_MORE: &str = "\
What it does:
  Takes all blocks of the node, in every network of the store, and then the node itself. It does so only
  as long as nobody says there that the node lives, which its agent does every five seconds: one
  that comes back meanwhile keeps what it has. A node that runs without an agent is not seen: be
  sure that its containers are gone, for others get their addresses.

  With --force a living node loses its blocks, too. Its agent notices within seconds, says which
  containers are concerned, and begins anew, with those blocks that nobody else has taken.";

pub(in super::super) const CREATE: &str = "\
Examples:
  sealane network create test
  sealane network create --subnet 10.90.0.0/24 --ip-range 10.90.0.128/25 test
  sealane network create --ipv6 --subnet 10.91.0.0/24 --subnet fd00:91::/64 both
  sealane network create --internal db
  sealane network create -o com.docker.network.bridge.name=br0 --label team=net test
  sealane network create -d macvlan -o parent=eth0 --subnet 192.168.1.0/24 \
    --gateway 192.168.1.1 --ip-range 192.168.1.224/28 lan
  sealane network create -d overlay --subnet 10.42.0.0/16 -o vni=4242 \
    -o peers=worker-1=192.0.2.1,worker-2=192.0.2.2 stage    # on each of the two hosts
  sealane network create -d overlay -o etcd=http://192.0.2.9:2379 many    # on each host: the first
                                                       chooses the subnet, the others join";

pub(in super::super) const CREATE_MORE: &str = "\
Options of the driver bridge:
  com.docker.network.bridge.name                  the bridge's name; br- and the network's ID, if
                                                  not given
  com.docker.network.driver.mtu, mtu              the MTU
  com.docker.network.bridge.enable_icc            false: its containers can't reach each other,
                                                  but by published ports
  com.docker.network.bridge.enable_ip_masquerade  false: others see its containers' own addresses

Options of the driver macvlan, whose containers have MAC addresses of their own on the network
that a link of the host leads to; the gateway is a machine on that network:
  parent                                          the link
  macvlan_mode                                    bridge (as it is, if not given), private, vepa or
                                                  passthru: which frames pass between containers
  host_access                                     true: the host and its containers reach each other
  com.docker.network.driver.mtu, mtu              the MTU

Options of the driver ipvlan, whose containers are there under the MAC address of that link:
  parent                                          the link
  ipvlan_mode                                     l2 (as it is, if not given), or l3 or l3s: the host
                                                  routes
  ipvlan_flag                                     bridge (as it is, if not given), private or vepa
  com.docker.network.driver.mtu, mtu              the MTU

Options of the driver overlay, one network over several hosts, made on each of them alike:
  peers                                           the hosts, NODE=ADDRESS,...; each has a block of the
                                                  subnet by its place in the list, or NODE=ADDRESS@SLOT.
                                                  Without it, and without etcd, the network is on
                                                  this host alone
  etcd                                            where an etcd listens that all hosts share, URL,...:
                                                  a network of this name there is joined as it is;
                                                  else subnet and number are chosen such that no
                                                  other network there has them. Its hosts come and
                                                  go, and have the blocks that they lease
  etcd_prefix                                     what its keys begin with; /sealane/v1, if not given
  etcd_dead_after                                 for how many seconds a host must not have been
                                                  heard before it loses its blocks; 86400, if not
                                                  given
  etcd_ca, etcd_cert, etcd_key                    files for https://: whom to trust, and who we are
  vni, com.docker.network.driver.overlay.vxlanid_list
                                                  the network's number; a free one, if not given
  node                                            which of them this host is; its own name, if not given
  block_size                                      how large a block is: 26 is 64 addresses
  port                                            the UDP port of the tunnels, 4789 if not given
  vtep                                            this host's address, if it is not in the list
  com.docker.network.driver.mtu, mtu              the MTU; what the tunnels carry, if not given

Files:
  /etc/cni/net.d/sealane-NAME.conflist    the network NAME

Environment:
  NETCONFPATH                             the folder of networks, instead of /etc/cni/net.d
  SEALANE_POOLS                           where subnets come from when none is named, and how long
                                          their prefixes are, such as 10.64.0.0/16:24; of overlay
                                          networks it is 10.0.0.0/8:24 if not set, as swarm's";

pub(in super::super) const LIST: &str = "\
Examples:
  sealane network ls --filter driver=bridge
  sealane network ls --format json";

pub(in super::super) const INSPECT_NETWORK: &str = "\
Examples:
  sealane network inspect test";

pub(in super::super) const REMOVE_NETWORK: &str = "\
Examples:
  sealane network rm test stage";

pub(in super::super) const REMOVE_NETWORK_MORE: &str = "\
Networks with an etcd:
  This host gives its blocks back. The network goes from etcd with the last host that has any; which it
  was is said on standard error. While etcd does not answer nothing is removed, but with --force:
  then the blocks stay this host's there.";

pub(in super::super) const PRUNE: &str = "\
Examples:
  sealane network prune --force";

pub(in super::super) const CONNECT: &str = "\
Examples:
  sealane network connect test bobcatserver
  sealane network connect --ip 10.90.0.10 --alias cats test catserver";

pub(in super::super) const DISCONNECT: &str = "\
Examples:
  sealane network disconnect test bobcatserver";
