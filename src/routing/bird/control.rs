//! BIRD's control socket.
//!
//! A command is a line. The answer is lines of a four-digit code and a text: `NNNN-text` goes on, ` text` goes on with the
//! code of the line before, `NNNN text` is the last. Codes from 8000 are run-time errors, from 9000 errors of the command.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::routing::external::DriverError;

/// For all commands of one conversation.
const PATIENCE: Duration = Duration::from_secs(5);
/// What an answer may be long at most.
const MOST: u64 = 16 << 20;

/// A line of an answer.
pub(super) type Line = (u16, String);

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Answer(pub(super) Vec<Line>);

impl Answer {
    /// The code of its last line.
    fn code(&self) -> u16 {
        self.0.last().map_or(0, |(code, _)| *code)
    }

    /// The last line that says something, if the answer is an error.
    pub(super) fn error(&self) -> Option<&str> {
        let (code, text) = self.0.last()?;
        (*code >= 8000).then_some(text)
    }

    /// Whether the last line has this code.
    pub(super) fn ends_with(&self, code: u16) -> bool {
        self.code() == code
    }
}

/// Has the daemon carry out commands, one after the other, and returns the answers. They may be errors.
pub(super) async fn ask(socket: &Path, commands: &[String]) -> Result<Vec<Answer>, DriverError> {
    let failed = |why: String| DriverError::Said(format!("{}: {why}", socket.display()));
    let talk = async {
        let stream = UnixStream::connect(socket).await?;
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader.take(MOST));
        read(&mut reader).await?;
        let mut answers = Vec::new();
        for command in commands {
            writer.write_all(format!("{command}\n").as_bytes()).await?;
            answers.push(read(&mut reader).await?);
        }
        Ok(answers)
    };
    match timeout(PATIENCE, talk).await {
        Ok(answers) => answers.map_err(|error: std::io::Error| failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

async fn read(reader: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Answer> {
    let mut answer = Answer::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).await? == 0 {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the answer ends in the middle",
            ));
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\n');
        let last = take(&mut answer, text);
        if last {
            return Ok(answer);
        }
    }
}

/// Takes a line into an answer. Whether it is the last one.
fn take(answer: &mut Answer, line: &str) -> bool {
    let code = line.get(..4).and_then(|code| code.parse().ok());
    match (code, line.as_bytes().get(4)) {
        (Some(code), Some(b'-')) => answer.0.push((code, line[5..].to_owned())),
        (Some(code), Some(b' ')) => {
            answer.0.push((code, line[5..].to_owned()));
            return true;
        }
        _ => {
            let rest = line.strip_prefix(' ').unwrap_or(line).to_owned();
            answer.0.push((answer.code(), rest));
        }
    }
    false
}

#[cfg(test)]
pub(super) fn parse(text: &str) -> Answer {
    let mut answer = Answer::default();
    assert!(text.lines().any(|line| take(&mut answer, line)), "it has no end");
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_code_says_so() {
        let answer = parse("1002-one\n two\n1006-  9001 three\n0000 \n");
        let lines: Vec<(u16, &str)> = answer.0.iter().map(|(code, text)| (*code, text.as_str())).collect();
        assert_eq!(lines, [(1002, "one"), (1002, "two"), (1006, "  9001 three"), (0, "")]);
        assert_eq!(answer.error(), None);
        assert_eq!(parse("9001 syntax error\n").error(), Some("syntax error"));
        // Nothing that it may say is more than text.
        assert_eq!(parse("é\n12\n0000 \n").0.len(), 3);
    }
}
