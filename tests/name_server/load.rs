//! Changes under load: zones come, go and change while a client asks without a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::network::{Server, primary, serial};

/// Asks for the zone's serial until told to stop, and counts the answers. Each must be one of the serials that were
/// served while it was asked for, and none may be lost.
async fn ask(server: Arc<Server>, zone: &'static str, newest: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> u64 {
    let mut answers = 0;
    let mut last = 0;
    while !stop.load(Ordering::SeqCst) {
        let got = u64::from(serial(server.address, zone).await.expect("a zone that is served answers"));
        let most = newest.load(Ordering::SeqCst);
        assert!(got >= last && got <= most, "{zone}: {got} after {last}, at most {most}");
        last = got;
        answers += 1;
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_lost_or_wrong_while_zones_change() {
    let state = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::start(state.path(), "127.0.0.1").await);
    server.set([primary("still.example", 1, ""), primary("changing.example", 1, "")]).await;
    let (stop, newest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1)));
    let still = Arc::new(AtomicU64::new(1));
    let clients = [("still.example", &still), ("changing.example", &newest)].map(|(zone, most)| {
        tokio::spawn(ask(Arc::clone(&server), zone, Arc::clone(most), Arc::clone(&stop)))
    });
    for round in 2..200_u32 {
        // Others come and go around it, below it too.
        let others = (0..5).map(|n| primary(&format!("z{n}.changing.example"), round, ""));
        server.set(others).await;
        newest.store(round.into(), Ordering::SeqCst);
        server.set([primary("changing.example", round, "")]).await;
        for n in 0..5 {
            server.remove(&format!("z{n}.changing.example")).await;
        }
        if round % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        let answers = client.await.unwrap();
        assert!(answers > 50, "{answers} answers are no load");
    }
    assert_eq!(serial(server.address, "changing.example").await, Some(199));
    assert_eq!(serial(server.address, "z1.changing.example").await, None, "removed");
}
