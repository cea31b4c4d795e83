//! Tokens and entries: what parentheses, quotes, comments and line ends make of a text.

use super::Fault;

/// The most tokens that an entry may have.
const MAX_TOKENS: usize = 20_000;

/// One word or string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'t> {
    /// As it stands in the text, escapes included, the quotes of a quoted string not.
    pub(super) raw: &'t str,
    /// Whether it began with a quote.
    pub(super) quoted: bool,
    /// Where it starts.
    pub(super) at: usize,
}

/// One record or directive: a line, or several that parentheses join. It has at least one token.
#[derive(Debug)]
pub(super) struct Entry<'t> {
    pub(super) tokens: Vec<Token<'t>>,
    /// Whether it begins with white space, which stands for the owner before.
    pub(super) indented: bool,
    /// Where its first token starts.
    pub(super) at: usize,
    /// Where it ends.
    pub(super) end: usize,
}

/// Reads entries one after another.
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        // A byte order mark is no part of the first name.
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { text, at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_line(&mut self) {
        self.at = self.text[self.at..].find('\n').map_or(self.text.len(), |length| self.at + length);
    }

    /// The next entry, or what keeps it from being one; after a fault the next line is next.
    pub(super) fn next_entry(&mut self) -> Option<Result<Entry<'t>, Fault>> {
        loop {
            self.peek()?;
            match self.line() {
                Ok(entry) if entry.tokens.is_empty() => (),
                Ok(entry) => return Some(Ok(entry)),
                Err(fault) => {
                    self.skip_line();
                    return Some(Err(fault));
                }
            }
        }
    }

    fn line(&mut self) -> Result<Entry<'t>, Fault> {
        let start = self.at;
        let mut tokens: Vec<Token<'t>> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        while let Some(octet) = self.peek() {
            match octet {
                b'\n' if open.is_empty() => break,
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b';' => self.skip_line(),
                b'(' if open.len() == 8 => {
                    return Err(Fault::at(self.at, "too many parentheses are open"));
                }
                b'(' => {
                    open.push(self.at);
                    self.at += 1;
                }
                b')' => {
                    open.pop().ok_or_else(|| Fault::at(self.at, "this parenthesis was never opened"))?;
                    self.at += 1;
                }
                _ if tokens.len() == MAX_TOKENS => {
                    return Err(Fault::at(self.at, "this record has too many fields"));
                }
                _ => tokens.push(self.token()?),
            }
        }
        if let Some(at) = open.first() {
            // What follows was swallowed: go on right after the line that opened it.
            self.at = *at;
            return Err(Fault::at(*at, "this parenthesis is never closed"));
        }
        let end = self.at;
        self.at += usize::from(self.peek() == Some(b'\n'));
        let at = tokens.first().map_or(start, |first| first.at - usize::from(first.quoted));
        let indented = matches!(self.text.as_bytes().get(start), Some(b' ' | b'\t'));
        Ok(Entry { tokens, indented, at, end })
    }

    fn token(&mut self) -> Result<Token<'t>, Fault> {
        if self.peek() == Some(b'"') {
            self.at += 1;
            let at = self.at;
            self.string()?;
            return Ok(Token { raw: &self.text[at..self.at - 1], quoted: true, at });
        }
        let at = self.at;
        while let Some(octet) = self.peek() {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' => break,
                b'\\' => self.escaped()?,
                // `alpn="h2,h3"`: the string is part of the word (RFC 9460 appendix A).
                b'"' => {
                    self.at += 1;
                    self.string()?;
                }
                _ => self.at += 1,
            }
        }
        Ok(Token { raw: &self.text[at..self.at], quoted: false, at })
    }

    /// Moves behind the closing quote.
    fn string(&mut self) -> Result<(), Fault> {
        let opened = self.at - 1;
        while let Some(octet) = self.peek() {
            match octet {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\n' => break,
                b'\\' => self.escaped()?,
                _ => self.at += 1,
            }
        }
        self.at = opened;
        Err(Fault::at(opened, "this string is not closed on its line"))
    }

    /// Moves behind a backslash and the character after it, which has no meaning of its own then.
    fn escaped(&mut self) -> Result<(), Fault> {
        let mut rest = self.text[self.at + 1..].chars();
        match rest.next() {
            None | Some('\n' | '\r') => Err(Fault::at(self.at, "nothing follows this backslash")),
            Some(character) => {
                self.at += 1 + character.len_utf8();
                Ok(())
            }
        }
    }
}
