//! FRR's control socket, which its shell uses, too: a shell for each question would cost 300 times as much.
//!
//! A command ends with a zero octet. The answer is text, three zero octets, and one that is zero if it was carried out.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::routing::external::DriverError;

/// For all commands of one conversation.
const PATIENCE: Duration = Duration::from_secs(5);
/// What an answer may be long at most.
const MOST: usize = 64 << 20;

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) text: String,
    /// Whether it was carried out.
    pub(super) done: bool,
}

/// Asks questions, one after the other. An answer may be a refusal.
pub(super) async fn ask(socket: &Path, questions: &[String]) -> Result<Vec<Answer>, DriverError> {
    converse(socket, questions, false).await
}

/// Gives commands until one is refused.
pub(super) async fn tell(socket: &Path, commands: &[String]) -> Result<(), DriverError> {
    let answers = converse(socket, commands, true).await?;
    match commands.iter().zip(answers).find(|(_, answer)| !answer.done) {
        None => Ok(()),
        Some((command, answer)) => {
            Err(DriverError::Said(format!("{}: {}", without_secret(command), answer.text.trim())))
        }
    }
}

/// A line that others may see.
pub(super) fn without_secret(line: &str) -> String {
    match line.split_once(" password ") {
        Some((before, _)) => format!("{before} password …"),
        None => line.to_owned(),
    }
}

async fn converse(socket: &Path, commands: &[String], obeys: bool) -> Result<Vec<Answer>, DriverError> {
    let failed = |why: String| DriverError::Said(format!("{}: {why}", socket.display()));
    let talk = async {
        let mut stream = UnixStream::connect(socket).await?;
        // Whoever may open the socket may do everything.
        say(&mut stream, "enable").await?;
        let mut answers = Vec::new();
        for command in commands {
            let answer = say(&mut stream, command).await?;
            let refused = !answer.done;
            answers.push(answer);
            if obeys && refused {
                break;
            }
        }
        Ok(answers)
    };
    match timeout(PATIENCE, talk).await {
        Ok(answers) => answers.map_err(|error: std::io::Error| failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

async fn say(
    stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    command: &str,
) -> std::io::Result<Answer> {
    let wrong = |kind, why: &str| std::io::Error::new(kind, why.to_owned());
    stream.write_all(command.as_bytes()).await?;
    stream.write_all(&[0]).await?;
    let mut octets = Vec::new();
    loop {
        if let [text @ .., 0, 0, 0, status] = octets.as_slice() {
            let text = String::from_utf8_lossy(text).into_owned();
            return Ok(Answer { text, done: *status == 0 });
        }
        if octets.len() > MOST {
            return Err(wrong(std::io::ErrorKind::InvalidData, "the answer has no end"));
        }
        if stream.read_buf(&mut octets).await? == 0 {
            return Err(wrong(std::io::ErrorKind::UnexpectedEof, "the answer ends in the middle"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_ends_with_its_status() {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        theirs.write_all(b"two\nlines\0\0\0\0").await.unwrap();
        assert_eq!(say(&mut ours, "show").await.unwrap(), Answer { text: "two\nlines".into(), done: true });
        theirs.write_all(b"% no\0\0\0\x02").await.unwrap();
        assert_eq!(say(&mut ours, "hide").await.unwrap(), Answer { text: "% no".into(), done: false });
        let mut said = [0; 10];
        theirs.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"show\0hide\0");
        theirs.write_all(b"half\0\0").await.unwrap();
        drop(theirs);
        assert!(say(&mut ours, "show").await.is_err());
        assert_eq!(without_secret("neighbor 192.0.2.2 password x y"), "neighbor 192.0.2.2 password …");
    }
}
