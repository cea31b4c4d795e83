//! Questions at the terminal whose answers are not shown.

use std::fs::OpenOptions;
use std::io::{BufReader, Read, Write};
use std::os::fd::AsFd;

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// More than anybody types.
const MOST: u64 = 8 * 1024;
/// What Ctrl-C sends.
const INTERRUPT: u8 = 3;

/// Asks at the terminal of this process, whatever its standard input is. `None` where there is none, or when the
/// question was broken off.
pub(super) fn ask(question: &str) -> Option<Zeroizing<String>> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
    let before = tcgetattr(&terminal).ok()?;
    let mut hidden = before.clone();
    hidden.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG);
    // Without signals, Ctrl-C ends the line, and the terminal is as before when the process ends.
    if let Some(end) = hidden.control_chars.get_mut(SpecialCharacterIndices::VEOL as usize) {
        *end = INTERRUPT;
    }
    terminal.write_all(question.as_bytes()).ok()?;
    let guard = Restore { terminal: &terminal, before };
    tcsetattr(&terminal, SetArg::TCSAFLUSH, &hidden).ok()?;
    let mut line = Zeroizing::new(Vec::with_capacity(MOST as usize));
    let mut octet = Zeroizing::new([0]);
    let mut reader = BufReader::with_capacity(1, &terminal).take(MOST);
    loop {
        // Ctrl-D: the end, if nothing is on the line.
        let ended = reader.read_exact(&mut *octet).is_err();
        if ended && line.is_empty() || !ended && octet[0] == INTERRUPT {
            line.clear();
            drop(guard);
            let _ = (&terminal).write_all(b"\n");
            return None;
        }
        if ended || octet[0] == b'\n' {
            break;
        }
        line.push(octet[0]);
    }
    drop(guard);
    (&terminal).write_all(b"\n").ok()?;
    String::from_utf8(std::mem::take(&mut line)).ok().map(Zeroizing::new)
}

struct Restore<'a, T: AsFd> {
    terminal: &'a T,
    before: Termios,
}

impl<T: AsFd> Drop for Restore<'_, T> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}

/// Reads standard input to its end: one value, the line break after it left out.
pub(super) fn standard_input() -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::with_capacity(MOST as usize + 1));
    let mut input = std::io::stdin().lock().take(MOST + 1);
    input
        .read_to_string(&mut text)
        .map_err(|error| format!("read the value from standard input: {error}"))?;
    if text.len() as u64 > MOST {
        return Err(format!("the value on standard input is longer than {MOST} octets"));
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    match text.is_empty() {
        true => Err("there is no value on standard input; --generate makes one".to_owned()),
        false => Ok(text),
    }
}
