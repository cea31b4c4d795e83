//! Tools: programs that control a daemon, each call bounded in time and in what it may say.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

/// What a tool may say at most; a list of 100,000 zones is some 20 MB.
const MOST: u64 = 128 << 20;

/// Why a tool did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// It could not be started.
    #[error("{tool} cannot be started: {why}")]
    NotStarted {
        /// Its name.
        tool: String,
        /// What was met.
        why: String,
    },
    /// It gave no answer in time, so the daemon hangs, or it does itself. It was killed.
    #[error("{tool} gave no answer within {} s", patience.as_secs_f32())]
    Silent {
        /// Its name.
        tool: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// A signal ended it.
    #[error("{tool} crashed with signal {signal}")]
    Crashed {
        /// Its name.
        tool: String,
        /// The signal's number.
        signal: i32,
    },
    /// It says that it failed.
    #[error("{tool} failed ({code}): {said}")]
    Failed {
        /// Its name.
        tool: String,
        /// Its exit code.
        code: i32,
        /// What it said, shortened.
        said: String,
    },
}

/// What a tool said. Its exit code was 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// On standard output.
    pub output: Vec<u8>,
    /// On standard error.
    pub errors: Vec<u8>,
}

impl Said {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }
}

/// Runs a tool and gives it `input`. Its language is C, and it gets nothing else from our environment but PATH.
pub async fn run<S: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = S>,
    input: &[u8],
    patience: Duration,
) -> Result<Said, ToolError> {
    let tool = || program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let not_started = |error: std::io::Error| ToolError::NotStarted { tool: tool(), why: error.to_string() };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().map_err(not_started)?;
    let (stdin, stdout, stderr) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
    let talk = async {
        let write = async {
            if let Some(mut stdin) = stdin {
                // Whoever does not read its input says why on its own.
                let _ = stdin.write_all(input).await;
            }
        };
        let ((), output, errors, status) = tokio::join!(write, read(stdout), read(stderr), process.wait());
        Ok::<_, std::io::Error>((output?, errors?, status?))
    };
    let talked = timeout(patience, talk).await.map_err(|_| ToolError::Silent { tool: tool(), patience })?;
    let (output, errors, status) = talked.map_err(not_started)?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(Said { output, errors }),
        (_, Some(signal)) => Err(ToolError::Crashed { tool: tool(), signal }),
        (code, None) => Err(ToolError::Failed {
            tool: tool(),
            code: code.unwrap_or(-1),
            said: shortened(&errors, &output),
        }),
    }
}

async fn read(from: Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    if let Some(from) = from {
        from.take(MOST).read_to_end(&mut octets).await?;
    }
    Ok(octets)
}

/// What was said on standard error, or else on standard output, on one line of bounded length.
fn shortened(errors: &[u8], output: &[u8]) -> String {
    let said = if errors.trim_ascii().is_empty() { output } else { errors };
    let said = String::from_utf8_lossy(said);
    let line = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    line.chars().take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: &str = "/bin/sh";

    async fn shell(script: &str, input: &[u8]) -> Result<Said, ToolError> {
        run(Path::new(SHELL), ["-c", script], input, Duration::from_millis(500)).await
    }

    #[tokio::test]
    async fn what_a_tool_says_is_read_whole() {
        let many = vec![b'x'; 300_000];
        assert_eq!(shell("cat", &many).await.unwrap().output, many);
        // One that reads nothing, and says much.
        let said = shell("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done", &many).await;
        assert_eq!(said.unwrap().output.len(), 220_000);
    }

    #[tokio::test]
    async fn every_way_to_fail_is_told_apart() {
        let why = |result: Result<Said, ToolError>| result.unwrap_err().to_string();
        assert_eq!(why(shell("echo no >&2; echo way >&2; exit 3", b"").await), "sh failed (3): no; way");
        assert_eq!(why(shell("echo only; exit 1", b"").await), "sh failed (1): only");
        assert_eq!(why(shell("kill -SEGV $$", b"").await), "sh crashed with signal 11");
        assert_eq!(why(shell("exec sleep 60", b"").await), "sh gave no answer within 0.5 s");
        let none = run(Path::new("/no/such"), [""; 0], b"", Duration::from_secs(1)).await;
        assert!(why(none).starts_with("such cannot be started: No such file"));
    }
}
