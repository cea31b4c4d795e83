//! `trust.yaml`: there, and readable by what will judge the next commit (trust.md, R7).

use crate::desired::load::Files;
use crate::finding::Finding;
use crate::source::trust::{PATH, Trust};

pub(super) fn check(files: &Files, findings: &mut Vec<Finding>) -> Option<Trust> {
    match &files.trust {
        None => {
            let hint = "without it no later commit can be judged; `shoestring init` makes one";
            findings.push(Finding::new(PATH, None, "the file is missing").with_hint(hint));
            None
        }
        Some(trust) => {
            let key = |path: &str| files.keys.get(path).map(|bytes| bytes.to_vec());
            Trust::parse(&trust.file, &key).map_err(|more| findings.extend(more)).ok()
        }
    }
}
