use std::time::Duration;

use super::*;
use crate::dns::embedded::delta::difference;
use crate::dns::embedded::testing;

fn apex(number: usize) -> DomainName {
    format!("z{number}.example").parse().unwrap()
}

fn zone(number: usize, serial: u32) -> Arc<Zone> {
    Arc::new(testing::zone(&apex(number), serial, 2))
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
}

fn whole(number: usize, serial: u32) -> Change {
    Change::Data(zone(number, serial), Vec::new(), at(serial.into()))
}

fn step(number: usize, from: u32, to: u32) -> Change {
    let (old, new) = (zone(number, from), zone(number, to));
    let step = Arc::new(difference(&old, &new));
    Change::Data(new, vec![step], at(to.into()))
}

/// The serial that is kept of a zone, whose data is checked to be that serial's.
fn serial(disk: &Disk, number: usize) -> Option<u32> {
    let kept = disk.read(&apex(number)).unwrap()?;
    assert_eq!(kept.zone, *zone(number, kept.zone.serial().0));
    Some(kept.zone.serial().0)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder.join("zones")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    fs::create_dir(to.path().join("zones")).unwrap();
    for file in files(from) {
        fs::copy(&file, to.path().join("zones").join(file.file_name().unwrap())).unwrap();
    }
    to
}

#[test]
fn what_is_kept_is_read_back_before_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    disk.keep(&[whole(1, 1), whole(2, 1), whole(3, 1)]).unwrap();
    disk.keep(&[step(1, 1, 2), whole(2, 5), Change::Forget(apex(3))]).unwrap();
    disk.keep(&[step(1, 2, 3), Change::Confirmed(apex(2), Serial(5), at(100))]).unwrap();
    // Of a serial that is not kept.
    disk.keep(&[Change::Confirmed(apex(1), Serial(2), at(200))]).unwrap();
    for disk in [disk, Disk::open(folder.path()).unwrap()] {
        assert_eq!([1, 2, 3, 4].map(|number| serial(&disk, number)), [Some(3), Some(5), None, None]);
        assert_eq!(disk.read(&apex(1)).unwrap().unwrap().refreshed, at(3));
        assert_eq!(disk.read(&apex(2)).unwrap().unwrap().refreshed, at(100));
        assert_eq!(disk.zones(), [apex(1), apex(2)]);
        assert_eq!(disk.lock().zones[&apex(1)].steps.len(), 2);
    }
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn names_of_every_kind_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    for name in ["a/b.example", r"\000\255.example", &"x.".repeat(120), "."] {
        let zone = Arc::new(testing::zone(&name.parse().unwrap(), 7, 3));
        disk.keep(&[Change::Data(Arc::clone(&zone), Vec::new(), at(7))]).unwrap();
        assert_eq!(disk.read(zone.apex()).unwrap().unwrap().zone, *zone);
    }
}

#[test]
fn steps_that_do_not_lead_on_or_are_many_become_a_whole_zone() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    disk.keep(&[step(1, 1, 2)]).unwrap();
    assert_eq!(
        (serial(&disk, 1), disk.lock().zones[&apex(1)].steps.len()),
        (Some(2), 0),
        "nothing was before"
    );
    disk.keep(&[step(1, 3, 4)]).unwrap();
    assert_eq!(
        (serial(&disk, 1), disk.lock().zones[&apex(1)].steps.len()),
        (Some(4), 0),
        "from another serial"
    );
    let mut most = 0;
    for from in 4..200 {
        disk.keep(&[step(1, from, from + 1)]).unwrap();
        assert_eq!(serial(&disk, 1), Some(from + 1));
        most = most.max(disk.lock().zones[&apex(1)].steps.len());
    }
    assert!((1..=STEPS).contains(&most), "{most}");
}

/// Three zones, one by steps, one forgotten, one alone; and what may be kept of them whatever is lost of the file.
fn example() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    for changes in [
        vec![whole(1, 1), whole(2, 1)],
        vec![step(1, 1, 2), Change::Confirmed(apex(2), Serial(1), at(9))],
        vec![whole(3, 7), Change::Forget(apex(2))],
        vec![step(1, 2, 3)],
    ] {
        disk.keep(&changes).unwrap();
    }
    folder
}

/// Opens what was damaged: every zone is as it once was kept or not there, and (tried at some places, since it is synced)
/// new data is kept and read back.
fn opens(folder: &Path, what: &str, position: usize) -> [Option<u32>; 3] {
    let disk = Disk::open(folder).unwrap();
    let found = [1, 2, 3].map(|number| serial(&disk, number));
    assert!(matches!(found, [None | Some(1..=3), None | Some(1), None | Some(7)]), "{what}: {found:?}");
    if let Some(kept) = disk.read(&apex(2)).unwrap() {
        assert!([at(1), at(9)].contains(&kept.refreshed), "{what}");
    }
    if !position.is_multiple_of(13) {
        return found;
    }
    disk.keep(&[whole(1, 10), step(3, 7, 8)]).unwrap();
    drop(disk);
    let disk = Disk::open(folder).unwrap();
    let again = [1, 2, 3].map(|number| serial(&disk, number));
    assert_eq!(again, [Some(10), found[1], Some(8)], "{what}");
    found
}

#[test]
fn a_file_that_ends_anywhere_has_what_was_whole_before() {
    let folder = example();
    let [file] = &files(folder.path())[..] else { panic!("one segment") };
    let octets = fs::read(file).unwrap();
    let mut last = [None; 3];
    for cut in 0..=octets.len() {
        let copy = copy(folder.path());
        fs::write(&files(copy.path())[0], &octets[..cut]).unwrap();
        let found = opens(copy.path(), &format!("cut at {cut}"), cut);
        assert!(found[0] >= last[0] && found[2] >= last[2], "cut at {cut}: {last:?}, {found:?}");
        last = found;
    }
    assert_eq!(last, [Some(3), None, Some(7)]);
}

#[test]
fn an_octet_that_changes_anywhere_costs_at_most_what_it_is_part_of() {
    let folder = example();
    let octets = fs::read(&files(folder.path())[0]).unwrap();
    for at in 0..octets.len() {
        let copy = copy(folder.path());
        let mut changed = octets.clone();
        changed[at] ^= 0x40;
        fs::write(&files(copy.path())[0], changed).unwrap();
        let found = opens(copy.path(), &format!("changed at {at}"), at);
        let lost = usize::from(found[0] != Some(3)) + usize::from(found[2] != Some(7));
        assert!(lost + usize::from(found[1].is_some()) <= 1, "changed at {at}: {found:?}");
    }
}

#[test]
fn what_is_damaged_while_it_is_open_is_not_taken_for_data() {
    let folder = example();
    let disk = Disk::open(folder.path()).unwrap();
    let file = &files(folder.path())[0];
    let mut octets = fs::read(file).unwrap();
    octets.iter_mut().for_each(|octet| *octet ^= 1);
    fs::write(file, octets).unwrap();
    assert!(disk.read(&apex(1)).is_err() && disk.read(&apex(3)).is_err());
}

#[test]
fn a_segment_that_is_mostly_dead_goes_and_nothing_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let text: String = (0..3000).map(|n| format!("n{n} TXT \"{n:0>200}\"\n")).collect();
    let large = |serial: u32| {
        let head = format!("$TTL 1\n@ SOA . . {serial} 2 3 4 5\n@ NS .\n");
        let apex = "large.example".parse().unwrap();
        let zone = super::super::zonefile::read("large", &format!("{head}{text}"), &apex, None).unwrap();
        Change::Data(Arc::new(zone), Vec::new(), at(0))
    };
    disk.keep(&[whole(1, 1), whole(2, 1), whole(3, 1)]).unwrap();
    for round in 1..12 {
        disk.keep(&[large(round)]).unwrap();
        if round == 5 {
            disk.keep(&[Change::Forget(apex(2)), step(1, 1, 2)]).unwrap();
        }
        while disk.compact().unwrap() {}
        let files = files(folder.path());
        let octets: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        assert!(octets < 6_000_000, "{octets} octets in {files:?}");
        let again = Disk::open(copy(folder.path()).path()).unwrap();
        for disk in [&disk, &again] {
            assert_eq!(serial(disk, 1), Some(if round < 5 { 1 } else { 2 }));
            assert_eq!(serial(disk, 2), (round < 5).then_some(1));
            assert_eq!(serial(disk, 3), Some(1));
            let kept = disk.read(&"large.example".parse().unwrap()).unwrap().unwrap();
            assert_eq!(kept.zone.serial(), Serial(round));
        }
    }
}

#[test]
fn what_was_kept_in_the_former_format_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let zones = folder.path().join("zones");
    fs::create_dir(&zones).unwrap();
    fs::write(zones.join("example.org.zone"), "shoestring zone 1\n").unwrap();
    fs::write(zones.join("README"), "not ours").unwrap();
    Disk::open(folder.path()).unwrap();
    assert_eq!(files(folder.path()), [zones.join("README")]);
}
