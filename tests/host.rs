//! The addresses of the loopback interface, in a namespace of the test's own.

use std::collections::BTreeSet;
use std::net::IpAddr;

use shoestring::host::{Host, LinuxHost};

use crate::mesh::lab::{self, Namespace};

fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn service_addresses_come_and_go() {
    if !lab::is_possible() {
        return;
    }
    Namespace::new().unwrap().run(async {
        let host = LinuxHost;
        // 127.0.0.1 and ::1 are there, and not ours.
        assert_eq!(host.service_addresses().await.unwrap(), BTreeSet::new());
        let both = addresses(&["192.0.2.53", "2001:db8::53"]);
        for address in both.iter().chain(&both) {
            host.add_service_address(*address).await.unwrap();
            // Usable at once.
            tokio::net::UdpSocket::bind((*address, 53)).await.unwrap();
        }
        assert_eq!(host.service_addresses().await.unwrap(), both);
        for _ in 0..2 {
            host.remove_service_address("192.0.2.53".parse().unwrap()).await.unwrap();
        }
        assert_eq!(host.service_addresses().await.unwrap(), addresses(&["2001:db8::53"]));
    });
}

#[test]
fn a_machine_without_ipv6_is_told_how_to_turn_it_on() {
    if !lab::is_possible() {
        return;
    }
    Namespace::new().unwrap().run(async {
        std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
        let error = LinuxHost.add_service_address("2001:db8::53".parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("disable_ipv6"), "{error}");
        LinuxHost.add_service_address("192.0.2.53".parse().unwrap()).await.unwrap();
    });
}

#[test]
fn looking_again_and_again_holds_nothing_open() {
    if !lab::is_possible() {
        return;
    }
    Namespace::new().unwrap().run(async {
        for _ in 0..2_000 {
            LinuxHost.service_addresses().await.unwrap();
        }
        // Many tests share the process: the limit is far below one for each look, and above what they need.
        let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
        assert!(open < 1_000, "{open} files are open");
    });
}
