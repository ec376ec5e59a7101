//! Kernel parameters.
use crate::trials;
use kernel::{Errno, Netns, sysctl};
use libtest_mimic::Trial;
use netlab::Host;

pub(crate) fn trials() -> Vec<Trial> {
    trials![sysctl:
        a_parameter_is_written_and_read_back,
        a_parameter_belongs_to_the_namespace_of_the_thread,
        a_parameter_that_is_not_there_is_an_error_with_its_path,
        a_parameter_that_is_held_open_stays_with_its_namespace,
        a_parameter_that_can_only_be_written_is_not_read,
        an_empty_value_empties_a_list,
    ]
}

fn a_parameter_is_written_and_read_back() {
    let _host = Host::new().unwrap();
    for (value, was) in
        [("1", Some("0".to_owned())), ("0", Some("1".to_owned())), ("1", Some("0".to_owned())), ("1", None)]
    {
        assert_eq!(sysctl::set(&["ipv4", "ip_forward"], value).unwrap(), was);
        assert_eq!(sysctl::read(&["ipv4", "ip_forward"]).unwrap(), value);
        assert_eq!(netlab::sysctl("ipv4/ip_forward").unwrap(), value);
    }
    assert_eq!(sysctl::set(&["ipv4", "ip_forward"], "x").unwrap_err().errno(), Some(Errno::EINVAL));
}

fn a_parameter_belongs_to_the_namespace_of_the_thread() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    sysctl::set(&["ipv4", "ip_forward"], "0").unwrap();
    let netns = Netns::open(container.netns()).unwrap();
    netns.run(|| sysctl::set(&["ipv4", "ip_forward"], "1")).unwrap().unwrap();
    assert_eq!(container.sysctl("ipv4/ip_forward").unwrap(), "1");
    assert_eq!(sysctl::read(&["ipv4", "ip_forward"]).unwrap(), "0");
}

fn a_parameter_that_is_not_there_is_an_error_with_its_path() {
    let _host = Host::new().unwrap();
    let error = sysctl::read(&["ipv4", "conf", "eth0.5", "arp_notify"]).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOENT));
    assert!(error.to_string().contains("/proc/sys/net/ipv4/conf/eth0.5/arp_notify"), "{error}");
    assert_eq!(sysctl::set(&["ipv4", "no_such"], "1").unwrap_err().errno(), Some(Errno::ENOENT));
}

fn a_parameter_that_is_held_open_stays_with_its_namespace() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let netns = Netns::open(container.netns()).unwrap();
    let parameter = netns.run(|| sysctl::Parameter::open(&["core", "somaxconn"])).unwrap().unwrap();
    assert_eq!(parameter.read().unwrap().unwrap(), "4096");
    parameter.write("77").unwrap();
    assert_eq!(parameter.read().unwrap().unwrap(), "77", "the same file, read again");
    assert_eq!(container.sysctl("core/somaxconn").unwrap(), "77");
    assert_eq!(netlab::sysctl("core/somaxconn").unwrap(), "4096");
    assert_eq!(parameter.write("x").unwrap_err().errno(), Some(Errno::EINVAL));
    let missing = sysctl::Parameter::open(&["core", "no_such"]).unwrap_err();
    assert_eq!(missing.errno(), Some(Errno::ENOENT));
    assert!(missing.to_string().contains("/proc/sys/net/core/no_such"), "{missing}");
}

fn a_parameter_that_can_only_be_written_is_not_read() {
    let _host = Host::new().unwrap();
    let flush = sysctl::Parameter::open(&["ipv4", "route", "flush"]).unwrap();
    assert_eq!(flush.read().unwrap(), None);
    flush.write("1").unwrap();
}

fn an_empty_value_empties_a_list() {
    let _host = Host::new().unwrap();
    let ports = sysctl::Parameter::open(&["ipv4", "ip_local_reserved_ports"]).unwrap();
    assert_eq!(ports.read().unwrap().unwrap(), "");
    ports.write("8080,9000-9010").unwrap();
    assert_eq!(netlab::sysctl("ipv4/ip_local_reserved_ports").unwrap(), "8080,9000-9010");
    ports.write("").unwrap();
    assert_eq!(netlab::sysctl("ipv4/ip_local_reserved_ports").unwrap(), "");
}
