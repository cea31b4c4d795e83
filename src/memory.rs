//! Memory: what the C library's allocator is told. Nothing where it is another one's.

#[cfg(target_env = "gnu")]
use nix::libc;

/// Lets what one thread has freed serve the others. The C library would give most threads an arena of their own, and a
/// revision of many zones is read by one of them, which leaves it with much that only it could use. For before there are
/// threads.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no safe crate sets M_ARENA_MAX")]
pub(crate) fn share() {
    // SAFETY: it takes two numbers, and other threads do not run yet. Refused, it changes nothing.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Gives the machine back what is free. While a revision is read, and while its zones are given to a name server, much is
/// made that goes again, and what stays lies between: the C library would give back the end of it alone.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no safe crate calls malloc_trim")]
pub(crate) fn give_back() {
    // SAFETY: it takes a number, and may be called by any thread at any time.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
pub(crate) fn share() {}

#[cfg(not(target_env = "gnu"))]
pub(crate) fn give_back() {}
