//! What the reference plugins 1.9.1 printed.

/// `static`, with two addresses, three routes and all of `dns`, at 0.2.0.
pub(crate) const FULL_020: &str = r#"{
    "cniVersion": "0.2.0",
    "ip4": {
        "ip": "10.0.0.2/24",
        "gateway": "10.0.0.1",
        "routes": [
            {
                "dst": "0.0.0.0/0"
            },
            {
                "dst": "10.9.0.0/16",
                "gw": "10.0.0.9"
            }
        ]
    },
    "ip6": {
        "ip": "2001:db8::2/64",
        "gateway": "2001:db8::1",
        "routes": [
            {
                "dst": "::/0",
                "gw": "2001:db8::9"
            }
        ]
    },
    "dns": {
        "nameservers": [
            "10.0.0.53"
        ],
        "domain": "example.org",
        "search": [
            "a",
            "b"
        ],
        "options": [
            "ndots:5"
        ]
    }
}"#;

/// The same at 0.4.0.
pub(crate) const FULL_040: &str = r#"{
    "cniVersion": "0.4.0",
    "ips": [
        {
            "version": "4",
            "address": "10.0.0.2/24",
            "gateway": "10.0.0.1"
        },
        {
            "version": "6",
            "address": "2001:db8::2/64",
            "gateway": "2001:db8::1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0"
        },
        {
            "dst": "10.9.0.0/16",
            "gw": "10.0.0.9",
            "mtu": 1400,
            "advmss": 1300,
            "priority": 7,
            "table": 100,
            "scope": 0
        },
        {
            "dst": "::/0",
            "gw": "2001:db8::9"
        }
    ],
    "dns": {
        "nameservers": [
            "10.0.0.53"
        ],
        "domain": "example.org",
        "search": [
            "a",
            "b"
        ],
        "options": [
            "ndots:5"
        ]
    }
}"#;

/// The same at 1.0.0.
pub(crate) const FULL_100: &str = r#"{
    "cniVersion": "1.0.0",
    "dns": {
        "domain": "example.org",
        "nameservers": [
            "10.0.0.53"
        ],
        "options": [
            "ndots:5"
        ],
        "search": [
            "a",
            "b"
        ]
    },
    "ips": [
        {
            "address": "10.0.0.2/24",
            "gateway": "10.0.0.1"
        },
        {
            "address": "2001:db8::2/64",
            "gateway": "2001:db8::1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0"
        },
        {
            "advmss": 1300,
            "dst": "10.9.0.0/16",
            "gw": "10.0.0.9",
            "mtu": 1400,
            "priority": 7,
            "scope": 0,
            "table": 100
        },
        {
            "dst": "::/0",
            "gw": "2001:db8::9"
        }
    ]
}"#;

/// `tuning`, passing on a result with interfaces, at 0.4.0.
pub(crate) const INTERFACES_040: &str = r#"{
    "cniVersion": "0.4.0",
    "interfaces": [
        {
            "name": "cni0",
            "mac": "02:00:00:00:00:01"
        },
        {
            "name": "eth0",
            "mac": "02:00:00:00:00:02",
            "sandbox": "/run/netns/c"
        }
    ],
    "ips": [
        {
            "version": "4",
            "interface": 1,
            "address": "10.0.0.2/24",
            "gateway": "10.0.0.1"
        },
        {
            "version": "4",
            "interface": 1,
            "address": "10.0.0.3/24"
        },
        {
            "version": "6",
            "address": "2001:db8::2/64"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0",
            "table": 5,
            "scope": 253
        }
    ],
    "dns": {}
}"#;

/// The same at 1.1.0.
pub(crate) const INTERFACES_110: &str = r#"{
    "cniVersion": "1.1.0",
    "interfaces": [
        {
            "mac": "02:00:00:00:00:01",
            "mtu": 1400,
            "name": "cni0"
        },
        {
            "mac": "02:00:00:00:00:02",
            "mtu": 1400,
            "name": "eth0",
            "pciID": "0000:00:01.0",
            "sandbox": "/run/netns/c",
            "socketPath": "/s"
        }
    ],
    "ips": [
        {
            "address": "10.0.0.2/24",
            "gateway": "10.0.0.1",
            "interface": 1
        },
        {
            "address": "10.0.0.3/24",
            "interface": 1
        },
        {
            "address": "2001:db8::2/64"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0",
            "scope": 253,
            "table": 5
        }
    ]
}"#;
