//! The number of the last transaction of an LMDB environment, which moves only on a write, and of its entries.
//!
//! The first two pages of its file describe it; the later one counts. Layout: a page header of 16 octets, then magic,
//! version, address and map size (24 octets), two tables (48 each; the second one's entries are the data, their number
//! stands 32 octets into it), the last page (8), the transaction (8).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Mark;

const MAGIC: u32 = 0xbeef_c0de;
const PAGE: usize = 4096;
/// Where magic, number of entries and transaction are in a page.
const AT: (usize, usize, usize) = (16, 120, 144);

/// The mark of the environment whose data is in this file.
pub(crate) fn lmdb_mark(path: &Path) -> Result<Mark, String> {
    Ok(last(path)?.0.to_be_bytes().to_vec())
}

/// How many entries the environment has whose data is in this file.
pub(crate) fn lmdb_entries(path: &Path) -> Result<u64, String> {
    Ok(last(path)?.1)
}

/// The last transaction, and how many entries there are since.
fn last(path: &Path) -> Result<(u64, u64), String> {
    let failed = |why: String| format!("{}: {why}", path.display());
    let mut pages = [0; 2 * PAGE];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut pages))
        .map_err(|error| failed(error.to_string()))?;
    let transactions = pages.chunks(PAGE).filter_map(|page| {
        let magic = page.get(AT.0..AT.0 + 4)?.try_into().ok().map(u32::from_ne_bytes)?;
        let number = |at: usize| page.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes);
        (magic == MAGIC).then_some((number(AT.2)?, number(AT.1)?))
    });
    transactions.max().ok_or_else(|| failed("it is no LMDB environment".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_pages_counts() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut pages = vec![0; 2 * PAGE];
        for (page, transaction, entries) in [(0, 7u64, 100u64), (PAGE, 8, 90)] {
            pages[page + AT.0..][..4].copy_from_slice(&MAGIC.to_ne_bytes());
            pages[page + AT.1..][..8].copy_from_slice(&entries.to_ne_bytes());
            pages[page + AT.2..][..8].copy_from_slice(&transaction.to_ne_bytes());
        }
        std::fs::write(file.path(), &pages).unwrap();
        assert_eq!(lmdb_mark(file.path()), Ok(8u64.to_be_bytes().to_vec()));
        assert_eq!(lmdb_entries(file.path()), Ok(90));
        std::fs::write(file.path(), vec![0; 2 * PAGE]).unwrap();
        assert!(lmdb_mark(file.path()).unwrap_err().ends_with("it is no LMDB environment"));
        std::fs::write(file.path(), b"short").unwrap();
        assert!(lmdb_mark(file.path()).is_err());
    }
}
