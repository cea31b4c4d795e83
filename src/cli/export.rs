//! A JSON file that another program exported: read as a stream, and refused with its place and what was expected.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Reads a file by a function that knows its shape.
pub(super) fn read<T>(
    path: &Path,
    shape: impl FnOnce(BufReader<File>) -> Result<T, serde_json::Error>,
) -> Result<T, String> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    shape(BufReader::new(file)).map_err(|error| {
        let text = error.to_string();
        // What is wrong with the text as a whole has no place.
        if error.is_io() || error.line() == 0 {
            return format!("{}: {text}", path.display());
        }
        let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
        // It may quote what was met, and that may be long.
        let message: String = message.chars().take(300).collect();
        format!("{}:{}:{}: {message}", path.display(), error.line(), error.column().max(1))
    })
}
