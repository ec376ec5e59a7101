//! What `--help` and the manual pages say below the options. Each text is a list of sections: a heading that ends with a
//! colon, and indented lines. `cargo xtask man` makes sections of a page of them; words and what they mean are two blanks
//! apart at least.

mod network;

pub(super) use network::{
    CONNECT, CREATE, CREATE_MORE, DISCONNECT, INSPECT_NETWORK, LIST, NETWORK, NETWORK_MORE, NODE, PRUNE,
    REMOVE_NETWORK, REMOVE_NETWORK_MORE, REMOVE_NODE, REMOVE_NODE_MORE,
};

/// Sections one after another.
pub(super) fn join(sections: &[&str]) -> String {
    sections.join("\n\n")
}

pub(super) const SEALANE: &str = "\
Examples:
  sealane lab -- bash        # a machine to try things on, without root; `exit` ends it all
  sealane network create test
  sealane run -d --name catserver --network test
  sealane run --rm --network test -- sealane ping -c 1 catserver
  sealane network inspect test
  sealane rm -f catserver
  sealane network rm test";

pub(super) const FILES: &str = "\
Files:
  /etc/cni/net.d/           the networks, as conflists for any container runtime: sealane-NAME.conflist
  /run/sealane/             what runs and what it owns: containers/NAME/, names/, attachments/
  /var/lib/sealane/         who holds which address
  /var/lib/cni/networks/    the addresses that the plugin host-local has given out
  /var/lib/cni/results/     the results of CNI's verbs, as every runtime keeps them
  /opt/cni/bin/             the plugins, if there are none beside sealane itself";

pub(super) const ENVIRONMENT: &str = "\
Environment:
  NETCONFPATH               the folder of networks, instead of /etc/cni/net.d
  CNI_PATH                  the folders of plugins, joined by colons
  SEALANE_POOLS             where subnets come from when none is named, and how long their prefixes
                            are: 10.201.0.0/16:24,172.16.0.0/12:24,192.168.0.0/16:24 if not set,
                            and 10.0.0.0/8:24 of overlay networks
  SEALANE_STATE_DIR         instead of /run/sealane; if not set, others than root have
                            $XDG_RUNTIME_DIR/sealane
  SEALANE_DATA_DIR          instead of /var/lib/sealane; if only SEALANE_STATE_DIR is set, `data` in it
  SEALANE_CNI_CACHE_DIR     instead of /var/lib/cni, for the results
  SEALANE_SYNC              1: nothing is left to a child: who deletes a link waits until
                            the kernel is done with it";

pub(super) const PLUGINS: &str = "\
Plugins:
  Called by the name of a plugin (`bridge`, or `my-bridge` for a copy of your own), sealane
  is that plugin.";

pub(super) const STATUS: &str = "\
Exit status:
  0    done
  1    not done; the reason is on standard error, and below it what to do
  2    the command line cannot be understood";

pub(super) const CNI: &str = "\
Examples:
  ip netns add blue
  sealane explain net.conflist blue /run/netns/blue
  sealane add net.conflist blue /run/netns/blue
  sealane check net.conflist blue /run/netns/blue
  sealane del net.conflist blue /run/netns/blue
  sealane gc net.conflist --valid green:eth0
  sealane status net.conflist";

pub(super) const CNI_MORE: &str = "\
Exit status:
  0    done
  1    not done; standard output has the error as CNI's JSON
  2    the command line cannot be understood

Environment:
  CNI_PATH                 the folders of plugins, joined by colons
  CNI_IFNAME               the interface's name, if it is not on the command line
  CNI_ARGS                 arguments for the plugins, such as IP=10.1.2.3;IgnoreUnknown=1
  CAP_ARGS                 capability arguments in JSON, such as {\"ips\":[\"10.1.2.3/24\"]}
  SEALANE_CNI_CACHE_DIR    where results are kept, instead of /var/lib/cni";

pub(super) const REPAIR: &str = "\
Examples:
  nft flush ruleset; sealane repair
  sealane check --repair net.conflist blue /run/netns/blue    # one attachment alone, inside too";

pub(super) const REPAIR_MORE: &str = "\
What is put back:
  What is missing or different on the host: sets, rules and elements of the packet filter, bridges
  and their addresses, forwarding, ports of bridges. A line each.

  Where iptables came to drop what is forwarded only after ADD (Docker, ufw), what `firewall` now needs
  is in no record: its ADD is done again for attachments that the runtime's cache knows. Others are
  named, and need DEL and ADD.

  Links are not made again, and an attachment whose namespace is gone is left to `sealane gc`.

After nft flush ruleset:
  Published ports are closed, and nothing is masqueraded or isolated. What is attached meanwhile may
  not be either: who joins a subnet or a bridge in use does not ask again for what is shared, and
  `sealane check` names it. So run `sealane repair` whenever somebody has emptied the ruleset.

Exit status:
  0    all is there
  1    something could not be put back: it is on standard error
  2    the command line cannot be understood

Files:
  /run/sealane/attachments/    what each attachment owns and shares; no configuration is needed
  /var/lib/cni/results/        what ADD answered, for `firewall` ($SEALANE_CNI_CACHE_DIR)";

pub(super) const RUN: &str = "\
Examples:
  sealane run -d --name catserver --network test
  sealane run --rm --network test -- sealane ping -c 1 catserver
  sealane run -d --name web -p 8080:80 -- ./server
  sealane run --rm --network host --publish 80 -- ./server
  sealane run --rm --network none -- sh";

pub(super) const RUN_MORE: &str = "\
Ports, as docker has them:
  -p 8080:80               port 8080 of the host, on all its addresses
  -p 127.0.0.1:8080:80     on this one alone
  -p 80                    any port that is free; `sealane port` tells which
  -p 127.0.0.1::80         likewise, on this address
  -p 8000-8010:80-90/udp   a range, as long on both sides
  -p 8000-8010:80          the first of a range that is free; `sealane port` tells which

  On several networks the first that can publishes them, and the next when it is taken off that.
  On the network host the container has the host's ports: -p 80 keeps others from it, and -p 8080:80
  is refused, as is a range without 80 in it. On none, and where no network can publish, -p is
  refused (docker says nothing there).

Exit status:
  That of the command, or
  125      sealane itself has failed, and nothing was run
  126      the command was found, and cannot be run
  127      the command was not found
  128+N    the command ended by signal N

Files:
  /etc/hosts                       the container's own: all names on its networks, kept up to date
  /etc/hostname, /etc/resolv.conf  the container's own too
  /run/sealane/containers/NAME/    what is known of the container, and its log";

pub(super) const EXEC: &str = "\
Examples:
  sealane exec catserver sealane ping -c 1 dogserver
  sealane exec catserver sh -c 'ls /sys/class/net'";

pub(super) const EXEC_MORE: &str = "\
Exit status:
  That of the command, or
  1        there is no such container, or it does not run
  126      the command was found, and cannot be run
  127      the command was not found
  128+N    the command ended by signal N";

pub(super) const PS: &str = "\
Examples:
  sealane ps --all
  sealane ps --quiet --filter network=test
  sealane ps --format json";

pub(super) const PORT: &str = "\
Examples:
  sealane port web                  # 80/tcp -> 0.0.0.0:8080
  sealane port web 80               # 0.0.0.0:8080
  sealane port --format json web";

pub(super) const INSPECT: &str = "\
Examples:
  sealane inspect catserver";

pub(super) const LOGS: &str = "\
Examples:
  sealane logs --tail 20 --follow catserver";

pub(super) const STOP: &str = "\
Examples:
  sealane stop --timeout 2 catserver dogserver";

pub(super) const REMOVE: &str = "\
Examples:
  sealane rm catserver
  sealane rm --force $(sealane ps --all --quiet)";

pub(super) const AGENT: &str = "\
Examples:
  sealane agent
  sealane agent --once";

pub(super) const AGENT_MORE: &str = "\
What it does:
  Registers the networks of the folder in their stores, keeps this node alive there, leases a block
  when the node has none, and the next one when three quarters of the addresses are given. Hears
  of the other nodes, and leads their addresses to them. Takes the blocks of nodes that were not
  heard for a day, or as long as `deadAfter` of the networks' store says. Containers come and go,
  and their traffic goes on, whether it runs or not.

  It logs to standard error. Who connects to agent.sock in /run/sealane is told how things are, in
  one line of JSON; a GET of /metrics by HTTP is answered in numbers, for Prometheus.";

pub(super) const AGENT_ENVIRONMENT: &str = "\
Environment:
  NETCONFPATH          the folder of networks, instead of /etc/cni/net.d
  SEALANE_STATE_DIR    instead of /run/sealane; if not set, others than root have
                       $XDG_RUNTIME_DIR/sealane
  SEALANE_DATA_DIR     instead of /var/lib/sealane; if only SEALANE_STATE_DIR is set, `data` in it";

pub(super) const LAB: &str = "\
Examples:
  sealane lab
  sealane lab -- net-demo/bridge
  sealane lab --hosts 3 -- sealane ping -c 1 192.0.2.3";

pub(super) const LAB_MORE: &str = "\
Machines:
  worker-1    192.0.2.1/24 and 2001:db8::1/64 on eth0; the command runs here
  worker-2    192.0.2.2/24 and 2001:db8::2/64 on eth0; and so on
  outside     192.0.2.254 and 2001:db8::fe, the way out of the others; also 198.51.100.1 and
              2001:db8:1::1, as a server somewhere else would be

  Each has a state of its own, empty: /run, /var/lib and /etc/cni/net.d. Other files are those
  of this machine.

Exit status:
  That of the command, or 125 if there could be no lab

Environment:
  SEALANE_LAB    1 in a lab
  SHELL          what is run when there is no command";

pub(super) const ON: &str = "\
Examples:
  sealane on outside sealane ping -c 1 192.0.2.1
  sealane on worker-2 sh";

pub(super) const ON_MORE: &str = "\
Exit status:
  That of the command, or 125 if there is no such machine";

pub(super) const PING: &str = "\
Examples:
  sealane ping -c 3 192.0.2.254
  sealane exec dogserver sealane ping -c 1 catserver";

pub(super) const PING_MORE: &str = "\
Exit status:
  0    something has answered
  1    nothing has answered
  2    nothing could be sent: an unknown host, no way to it, no permission

Files:
  /etc/hosts    names and their addresses; nothing else is asked for names";

pub(super) const SERVE: &str = "\
Examples:
  sealane run -d --name web -p 8080:80 -- sealane serve 80 hello
  sealane run -d --name dns -p 5353:53/udp -- sealane serve 53/udp hello
  sealane logs web                  # who has asked";

pub(super) const FETCH: &str = "\
Examples:
  sealane fetch 127.0.0.1:8080
  sealane on outside sealane fetch '[2001:db8::1]:8080'
  sealane exec dogserver sealane fetch catserver:53/udp";

pub(super) const FETCH_MORE: &str = "\
Exit status:
  0    something has answered
  1    nothing has answered, or nothing could be asked; the reason is on standard error
  2    the command line cannot be understood

Files:
  /etc/hosts    names and their addresses; nothing else is asked for names";

pub(super) const PLUGIN_LIST: &str = "\
Examples:
  for plugin in $(sealane plugins); do ln -f sealane $plugin; done";
