//! A name server whose process is killed while it takes and keeps zones that change all the time: what is on disk is a
//! version of each, whole, and never an older one than after the last kill.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::{DNSClass, RData, RecordType};
use shoestring::dns::{ZoneConfig, ZoneState};

use super::network::{
    PATIENCE, Server, free_address, query, secondary, serial, shared, try_udp_within, udp, with_timers,
};

/// The test that is the process to be killed, and what it is told: its state folder, its address, its primary's.
const VICTIM: &str = "name_server::killed::the_process_that_is_killed";
const TOLD: &str = "KILLED_NAME_SERVER";
const ZONES: usize = 20;
const KILLS: u64 = 12;

fn zone(number: usize) -> String {
    format!("z{number}.test")
}

/// A zone whose records all follow from its serial; every seventh has so much more that it is kept whole.
fn version(number: usize, serial: u32) -> ZoneConfig {
    let texts = (0..serial % 9).map(|n| format!("t{n} TXT \"{serial}\"\n"));
    let large =
        (0..if serial.is_multiple_of(7) { 200 } else { 0 }).map(|n| format!("l{n} TXT \"{serial}\"\n"));
    let records: String = texts.chain(large).collect();
    with_timers(&zone(number), serial, "1 1 86400", &format!("www A 192.0.2.{}\n{records}", serial % 256))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_killed() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let [state, address, primary] = told.split(' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
    let server = Server::start_at(Path::new(state), address.parse().unwrap()).await;
    let primary: SocketAddr = primary.parse().unwrap();
    server.set((0..ZONES).map(|number| secondary(&zone(number), &server, &[primary]))).await;
    std::future::pending().await
}

struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(state: &Path, address: SocketAddr, primary: SocketAddr) -> Victim {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", VICTIM])
        .env(TOLD, format!("{} {address} {primary}", state.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Victim(child.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_kill_leaves_on_disk_is_a_version_of_each_zone() {
    let (hub_state, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Server::start(hub_state.path(), "127.0.0.1").await;
    let address = free_address("127.0.0.2");
    let change = async |serial: u32| {
        hub.set((0..ZONES).map(|number| shared(version(number, serial), &[address]))).await;
    };
    let mut now = 1;
    let mut kept = [0; ZONES];
    let mut moved = 0;
    change(now).await;
    for kill in 0..KILLS {
        let victim = start(state.path(), address, hub.address);
        // It may have an older version, and has to be there at all.
        let begun = Instant::now();
        let asked = query(&format!("{}.", zone(0)), RecordType::SOA, DNSClass::IN).to_vec().unwrap();
        while try_udp_within(address, &asked, Duration::from_millis(50)).await.is_none() {
            assert!(begun.elapsed() < PATIENCE, "it does not come up");
        }
        let (begun, until) = (Instant::now(), Duration::from_millis(20 + kill * 37 % 400));
        while begun.elapsed() < until {
            now += 1;
            change(now).await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        drop(victim);

        // Its own address is where nobody answers now.
        let nobody = free_address("127.0.0.1");
        let checked = Server::start(state.path(), "127.0.0.3").await;
        checked.set((0..ZONES).map(|number| secondary(&zone(number), &checked, &[nobody]))).await;
        for (number, kept) in kept.iter_mut().enumerate() {
            let seen = checked.zone(&zone(number)).await;
            let Some(found) = seen.serial.map(|serial| serial.0) else {
                assert!(*kept == 0 && matches!(seen.state, ZoneState::Empty(_)), "kill {kill}: {seen:?}");
                continue;
            };
            assert!((*kept..=now).contains(&found), "kill {kill}, zone {number}: {found} after {kept}");
            moved += u32::from(found > *kept);
            *kept = found;
            is_version(checked.address, &zone(number), found).await;
        }
    }
    assert!(moved > ZONES as u32, "hardly anything was kept: {moved}");
}

/// Whether what is answered is what this serial has.
async fn is_version(server: SocketAddr, zone: &str, found: u32) {
    assert_eq!(serial(server, zone).await, Some(found));
    let records = async |label: &str, rtype| {
        let asked = query(&format!("{label}.{zone}."), rtype, DNSClass::IN);
        Message::from_vec(&udp(server, &asked).await).unwrap().answers
    };
    let www = records("www", RecordType::A).await;
    assert!(matches!(&www[0].data, RData::A(a) if u32::from(a.octets()[3]) == found % 256), "{www:?}");
    for n in 0..9 {
        let text = records(&format!("t{n}"), RecordType::TXT).await;
        assert_eq!(text.len(), usize::from(n < found % 9), "t{n} of {found}");
        assert!(text.iter().all(|record| record.data.to_string().contains(&found.to_string())), "{text:?}");
    }
    let large = records("l199", RecordType::TXT).await;
    assert_eq!(large.len(), usize::from(found.is_multiple_of(7)), "of {found}");
}
