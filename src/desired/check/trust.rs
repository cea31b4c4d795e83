//! `trust.yaml`: there, and readable by what will judge the next commit (trust.md, R7).

use crate::desired::load::Files;
use crate::finding::Finding;

pub(super) fn check(files: &Files, findings: &mut Vec<Finding>) {
    if files.trust.is_none() {
        let hint = "without it no later commit can be judged; `shoestring init` makes one";
        findings.push(Finding::new("trust.yaml", None, "the file is missing").with_hint(hint));
    }
}
