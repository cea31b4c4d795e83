//! The queries of a world: its names and the names about them, in many types, in every way that one can ask.

use std::collections::{BTreeMap, BTreeSet};

use shoestring::dns::embedded::rdata::type_name;
use shoestring::names::DomainName;

use super::draw::Draw;
use super::wire::shown;
use super::worlds::{World, ZoneText};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    Udp,
    Tcp,
}

/// The OPT record of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edns {
    pub size: u16,
    pub version: u8,
    pub flags: u16,
    /// Options as octets.
    pub options: Vec<u8>,
}

impl Edns {
    const fn new(size: u16, flags: u16) -> Self {
        Self { size, version: 0, flags, options: Vec::new() }
    }

    fn octets(&self) -> Vec<u8> {
        let mut octets = vec![0, 0, 41];
        octets.extend(self.size.to_be_bytes());
        octets.extend([0, self.version]);
        octets.extend(self.flags.to_be_bytes());
        octets.extend(u16::try_from(self.options.len()).unwrap().to_be_bytes());
        octets.extend(&self.options);
        octets
    }
}

/// The DNSSEC OK bit (RFC 3225).
pub const DO: u16 = 0x8000;

/// One query.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is asked, for people.
    pub label: String,
    pub transport: Transport,
    pub octets: Vec<u8>,
    /// The name's wire form, if the query has one.
    pub name: Vec<u8>,
    pub qtype: u16,
    pub qclass: u16,
    /// Opcode and flags, as they stand in the header.
    pub flags: u16,
    pub edns: Option<Edns>,
}

impl Case {
    pub fn new(name: &[u8], qtype: u16) -> Self {
        let (transport, octets) = (Transport::Udp, Vec::new());
        let case = Self {
            label: String::new(),
            transport,
            octets,
            name: name.to_vec(),
            qtype,
            qclass: 1,
            flags: 0,
            edns: None,
        };
        case.made()
    }

    /// With the label and the octets that belong to its fields.
    fn made(mut self) -> Self {
        let mut label = format!("{} {}", shown(&self.name), type_name(self.qtype));
        if self.qclass != 1 {
            label += &format!(" CLASS{}", self.qclass);
        }
        if self.transport == Transport::Tcp {
            label += " TCP";
        }
        if self.flags != 0 {
            label += &format!(" flags {:04x}", self.flags);
        }
        let mut octets = vec![0, 0];
        octets.extend(self.flags.to_be_bytes());
        octets.extend([0, 1, 0, 0, 0, 0, 0, u8::from(self.edns.is_some())]);
        octets.extend(&self.name);
        octets.extend(self.qtype.to_be_bytes());
        octets.extend(self.qclass.to_be_bytes());
        if let Some(edns) = &self.edns {
            octets.extend(edns.octets());
            label += &format!(" EDNS {}", edns.size);
            if edns.version != 0 || edns.flags & !DO != 0 || !edns.options.is_empty() {
                label +=
                    &format!(" version {} flags {:04x} options {:?}", edns.version, edns.flags, edns.options);
            } else if edns.flags == DO {
                label += " DO";
            }
        }
        self.octets = octets;
        self.label = label;
        self
    }

    fn edns(self, edns: Edns) -> Self {
        Self { edns: Some(edns), ..self }.made()
    }

    fn over(self, transport: Transport) -> Self {
        Self { transport, ..self }.made()
    }

    fn flags(self, flags: u16) -> Self {
        Self { flags, ..self }.made()
    }

    fn class(self, qclass: u16) -> Self {
        Self { qclass, ..self }.made()
    }

    pub fn is_mangled(&self) -> bool {
        self.label.starts_with("mangled")
    }

    pub fn is_malformed(&self) -> bool {
        self.label.starts_with("malformed")
    }

    /// Whether a label of the name holds an octet 0.
    pub fn has_octet_zero(&self) -> bool {
        // The last octet is the root's label.
        self.name[..self.name.len() - 1].contains(&0)
    }

    /// Whether the name has a label `*`.
    pub fn has_asterisk(&self) -> bool {
        self.name.windows(2).any(|octets| octets == b"\x01*")
    }

    pub fn opcode(&self) -> u16 {
        self.flags >> 11 & 15
    }
}

/// Types that are asked for at names that have no such data.
const TYPES: [u16; 20] = [1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 46, 47, 48, 50, 51, 65, 255, 257, 65280];
/// The same, for each name that is in a zone.
const COMMON: [u16; 6] = [1, 2, 16, 28, 43, 255];

/// Buffer sizes.
const SIZES: [u16; 16] =
    [0, 1, 511, 512, 513, 600, 1000, 1220, 1231, 1232, 1233, 1280, 1400, 4096, 16384, 65535];

/// All the queries to a world.
pub fn cases(world: &World) -> Vec<Case> {
    let mut draw = Draw::new(0x5348_4f45);
    let mut cases = about(world, &mut draw);
    let features: Vec<Case> = (0..60).map(|_| plain(&draw.one(&cases))).collect();
    sizes(world, &features, &mut cases);
    headers(&features, &mut cases);
    for opcode in [4, 5] {
        let apex = world.zones[0].apex.as_wire();
        cases.extend([apex, &below(b"x", apex)].map(|name| Case::new(name, 6).flags(opcode << 11)));
    }
    options(&features, &mut cases);
    elsewhere(world, &mut cases);
    cases
}

/// The queries about a world's names.
pub fn about(world: &World, draw: &mut Draw) -> Vec<Case> {
    let mut cases = Vec::new();
    for zone in &world.zones {
        let signed = zone.zone.rrsets().any(|set| set.rtype() == 46);
        for (name, types) in names(zone, draw) {
            let own = !types.is_empty();
            let mut asked: BTreeSet<u16> = types;
            asked.extend(if own { &COMMON[..] } else { &[1] });
            asked.insert(draw.one(&TYPES));
            for qtype in asked {
                let case = Case::new(&recased(&name, draw), qtype);
                if signed {
                    cases.push(case.clone().edns(Edns::new(1232, DO)));
                }
                cases.push(match draw.below(if signed { 15 } else { 10 }) {
                    0 => case.edns(Edns::new(1232, 0)),
                    1 => case.edns(Edns::new(4096, DO)),
                    2 => case.edns(Edns::new(1232, DO)).over(Transport::Tcp),
                    3 => case.over(Transport::Tcp),
                    4 => case.edns(Edns::new(draw.one(&SIZES), DO)),
                    _ => case,
                });
            }
        }
    }
    cases
}

/// The same question without anything besides.
fn plain(case: &Case) -> Case {
    Case::new(&case.name, case.qtype)
}

/// The names of a zone, and names above, below, beside, before and after them, each with the types that it has.
fn names(zone: &ZoneText, draw: &mut Draw) -> BTreeMap<DomainName, BTreeSet<u16>> {
    let mut names: BTreeMap<DomainName, BTreeSet<u16>> = BTreeMap::new();
    for set in zone.zone.rrsets() {
        names.entry(set.owner()).or_default().insert(set.rtype());
    }
    // Names of NSEC3 records are no names (RFC 5155 section 7.2.8): about them little can be asked.
    let hashed = |types: &BTreeSet<u16>| types.contains(&50);
    let owners: Vec<DomainName> =
        names.iter().filter(|(_, types)| !hashed(types)).map(|(owner, _)| owner.clone()).collect();
    // Of thousands of names that are all alike a few are enough.
    let step = owners.len().div_ceil(150);
    for owner in owners.iter().step_by(step) {
        let wire = owner.as_wire();
        let mut beside: Vec<Vec<u8>> =
            [&b"x"[..], b"*", b"\0", b"a.b", b"*.x", b"x.*"].iter().map(|label| below(label, wire)).collect();
        if wire[0] > 0 {
            let (label, rest) = wire[1..].split_at(usize::from(wire[0]));
            beside.push(below(&[label, b"\0"].concat(), rest));
            beside.push(below(&label[..label.len() - 1], rest));
            let last = label[label.len() - 1];
            beside.push(below(&[&label[..label.len() - 1], &[last.wrapping_sub(1), 255]].concat(), rest));
            beside.push(below(&[&label[..label.len() - 1], &[last.wrapping_add(1)]].concat(), rest));
        }
        for name in beside.iter().filter_map(|wire| DomainName::from_wire(wire)) {
            if draw.below(3) > 0 && name.is_within(&zone.apex) {
                names.entry(name).or_default();
            }
        }
        let above = std::iter::successors(Some(owner.clone()), DomainName::parent);
        for name in above.take_while(|name| name.is_within(&zone.apex)) {
            names.entry(name).or_default();
        }
    }
    names
}

/// Labels, separated by dots, on top of a name.
fn below(labels: &[u8], name: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in labels.split(|octet| *octet == b'.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label);
    }
    wire.extend(name);
    wire
}

/// A name's wire form with some letters in upper case.
fn recased(name: &DomainName, draw: &mut Draw) -> Vec<u8> {
    let mut wire = name.as_wire().to_vec();
    if draw.below(3) == 0 {
        let mut at = 0;
        while wire[at] > 0 {
            let end = at + 1 + usize::from(wire[at]);
            for octet in &mut wire[at + 1..end] {
                if draw.below(2) == 0 {
                    octet.make_ascii_uppercase();
                }
            }
            at = end;
        }
    }
    wire
}

/// Buffer sizes, at names whose answers are about as large, and at some others.
fn sizes(world: &World, features: &[Case], cases: &mut Vec<Case>) {
    let large = world.zones.iter().find(|zone| zone.file == "size.test.zone");
    let sets = large
        .iter()
        .flat_map(|zone| zone.zone.rrsets().map(|set| Case::new(set.owner().as_wire(), set.rtype())));
    let mut below_cut = Vec::new();
    for label in ["x.ref", "y.wide", "z.far"].iter().filter(|_| large.is_some()) {
        let name: DomainName = format!("{label}.size.test").parse().unwrap();
        below_cut.push(Case::new(name.as_wire(), 1));
    }
    for case in sets.filter(|case| !shown(&case.name).starts_with("a-rather")).chain(below_cut) {
        let case = &case;
        cases.push(case.clone());
        cases.push(case.clone().over(Transport::Tcp));
        cases.extend([512, 1231, 1232, 4096].map(|size| case.clone().edns(Edns::new(size, 0))));
        cases.push(case.clone().edns(Edns::new(512, DO)).over(Transport::Tcp));
    }
    for case in features {
        cases
            .extend(SIZES.map(|size| case.clone().edns(Edns::new(size, if size % 2 == 0 { DO } else { 0 }))));
    }
}

/// Opcodes, and each bit of the header.
fn headers(features: &[Case], cases: &mut Vec<Case>) {
    for case in &features[..12] {
        for opcode in 0..16 {
            for flags in [0, 0x0100] {
                cases.push(case.clone().flags(opcode << 11 | flags));
            }
        }
        for bits in
            [0x0010, 0x0020, 0x0030, 0x0040, 0x0080, 0x0100, 0x0110, 0x0200, 0x0400, 0x0001, 0x000f, 0x07ff]
        {
            cases.push(case.clone().flags(bits));
            cases.push(case.clone().edns(Edns::new(1232, DO)).flags(bits));
        }
        cases.push(case.clone().flags(0x8000));
    }
}

/// EDNS versions, flags and options.
fn options(features: &[Case], cases: &mut Vec<Case>) {
    let option = |code: u16, value: &[u8]| -> Vec<u8> {
        [&code.to_be_bytes()[..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
    };
    let mut all: Vec<Edns> = Vec::new();
    for version in [1, 2, 255] {
        all.push(Edns { version, ..Edns::new(1232, 0) });
        all.push(Edns { version, ..Edns::new(1232, DO) });
    }
    all.extend([1, 0x4000, 0x7fff, 0xffff].map(|flags| Edns::new(1232, flags)));
    let with = |options: Vec<u8>| Edns { options, ..Edns::new(1232, 0) };
    all.push(with(option(3, b"")));
    all.push(with(option(3, b"x")));
    all.push(with([option(3, b""), option(3, b"")].concat()));
    all.push(with(option(10, b"12345678")));
    all.push(with([option(10, b"12345678"), option(3, b"")].concat()));
    all.push(with([option(10, b"12345678"), option(10, b"12345678")].concat()));
    for length in [0, 1, 7, 9, 15, 16, 17, 24, 32, 39, 40, 41, 100] {
        all.push(with(option(10, &vec![7; length])));
    }
    all.push(with(option(65_001, b"whatever")));
    all.push(with(option(0, b"")));
    // Client subnet (RFC 7871): good and bad.
    all.push(with(option(8, &[0, 1, 24, 0, 192, 0, 2])));
    all.push(with(option(8, &[0, 1, 0, 0])));
    all.push(with(option(8, &[0, 9, 24, 0, 192])));
    all.push(with(option(8, b"")));
    all.push(with(option(9, b"")));
    all.push(with(option(11, b"")));
    all.push(with(option(11, &[0, 100])));
    all.push(with(option(12, &[0; 400])));
    all.push(with(option(13, b"")));
    all.push(with(option(15, &[0, 0])));
    for (at, edns) in all.into_iter().enumerate() {
        for case in features.iter().skip(at % 7).step_by(20).take(3) {
            cases.push(case.clone().edns(edns.clone()));
        }
        cases.push(features[at % features.len()].clone().edns(edns).over(Transport::Tcp));
    }
}

/// What is not in our zones: other names, classes, meta types, CHAOS.
fn elsewhere(world: &World, cases: &mut Vec<Case>) {
    let wire = |text: &str| text.parse::<DomainName>().unwrap().as_wire().to_vec();
    for name in [
        ".",
        "test",
        "invalid",
        "example.invalid",
        "a.b.c.d.e.f.invalid",
        "id.server",
        "version.bind",
        "local",
    ] {
        for qtype in [1, 2, 6, 43, 255, 65280] {
            let case = Case::new(&wire(name), qtype);
            cases.push(case.clone().edns(Edns::new(1232, DO)));
            cases.push(case.clone().over(Transport::Tcp));
            cases.push(case);
        }
    }
    for name in [
        "id.server",
        "hostname.bind",
        "version.bind",
        "version.server",
        "authors.bind",
        "bind",
        "server",
        "x.id.server",
        "example",
        ".",
    ] {
        for qtype in [1, 2, 6, 16, 255] {
            cases.push(Case::new(&wire(name), qtype).class(3));
        }
        cases.push(
            Case::new(&recased(&name.to_uppercase().parse().unwrap(), &mut Draw::new(7)), 16)
                .class(3)
                .edns(Edns::new(1232, 0)),
        );
    }
    for zone in world.zones.iter().take(6) {
        let inside = below(b"x", zone.apex.as_wire());
        for name in [zone.apex.as_wire(), &inside[..]] {
            for class in [0, 2, 3, 4, 5, 254, 255, 256, 65535] {
                for qtype in [1, 6, 255] {
                    cases.push(Case::new(name, qtype).class(class));
                }
            }
            for qtype in
                [0, 10, 22, 41, 54, 100, 101, 102, 103, 128, 200, 248, 249, 250, 251, 252, 253, 254, 65535]
            {
                let case = Case::new(name, qtype);
                cases.push(case.clone().over(Transport::Udp));
                cases.push(case.edns(Edns::new(1232, DO)));
            }
        }
    }
}
