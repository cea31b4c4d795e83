//! Integration tests: scenarios are modules of this one binary.
