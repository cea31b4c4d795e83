//! Network namespaces for tests.

use nix::sched::{CloneFlags, unshare};

/// Runs a test in a network namespace of its own, unless there is a reason why it cannot be run here; in CI there may be none.
/// Sockets and processes belong to the namespace of the thread that makes them, so it is a thread of its own.
pub fn in_a_namespace(reason: Option<String>, test: impl FnOnce() + Send) {
    if let Some(why) = reason {
        assert!(std::env::var_os("CI").is_none(), "must run in CI: {why}");
        eprintln!("skipped: {why}");
        return;
    }
    in_a_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("root may have a network namespace");
        test();
    });
}

/// Runs in a thread of the same name, whose namespaces are its own to change.
pub fn in_a_thread(test: impl FnOnce() + Send) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    std::thread::scope(|scope| {
        let running = std::thread::Builder::new().name(name).spawn_scoped(scope, test);
        if let Err(panic) = running.unwrap().join() {
            std::panic::resume_unwind(panic);
        }
    });
}
