//! Integration tests: scenarios are modules of this one binary.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed `unwrap` is how a test fails, and a test is no library"
)]

mod bgp;
mod catalogs;
mod desired;
mod differential;
mod external;
mod fetch;
mod fetch_command;
mod host;
mod hostile_repositories;
mod mesh;
mod name_server;
mod namespace;
mod one_node;
mod peer_match;
mod preflight;
mod reconcile;
mod review;
mod routing;
mod secret_command;
mod secret_leaks;
mod simulation;
mod switch;
mod systemd;
mod watchdog;
mod world;
mod zonefile;
