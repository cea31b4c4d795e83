//! The embedded name server's answers beside those of BIND for the same zones.
//!
//! Every owner name of the zones, with names above, below and beside it, is asked for in many types. What the two are
//! allowed to do differently is written down in `agreed`.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use shoestring::dns::embedded::answer::{CLASS_IN, Question, answer};
use shoestring::dns::embedded::zone::Zone;
use shoestring::dns::embedded::zones::{ZoneEntry, Zones};
use shoestring::dns::embedded::{encode, zonefile};
use shoestring::names::DomainName;

const ZONES: [(&str, &str); 4] = [
    (
        "example",
        r#"
$TTL 3600
@ 7200 SOA ns1 hostmaster 7 7200 1800 2592000 300
@ NS ns1
@ NS ns.other.test.
@ MX 10 mail
@ MX 20 mail.other.test.
@ TXT "apex"
@ CAA 0 issue "ca.example"
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
mail A 192.0.2.2
_sip._tcp SRV 1 2 5060 sip
sip AAAA 2001:db8::2
; RFC 4592 section 2.2.1, one label deeper
*.wild 600 TXT "this is a wildcard"
*.wild MX 10 host1.wild
sub.*.wild TXT "this is not a wildcard"
host1.wild A 192.0.2.3
_ssh._tcp.host1.wild SRV 0 0 22 host1.wild
_ssh._tcp.host2.wild SRV 0 0 22 host1.wild
subdel.wild NS ns.subdel.wild
subdel.wild NS ns.other.test.
ns.subdel.wild A 192.0.2.4
; a wildcard that is only an empty non-terminal
deep.*.hollow A 192.0.2.5
side.hollow A 192.0.2.5
; a wildcard alias, and one below it that stops it
*.alias CNAME mail
stop.alias A 192.0.2.6
a.very.deep.alias A 192.0.2.6
; chains
c1 CNAME c2
c2 CNAME c3
c3 CNAME mail
cmissing CNAME not-there
cent CNAME _tcp
cnodata CNAME sip
cdel CNAME www.del
cwild CNAME any.wild
cout CNAME www.other.test.
coutmissing CNAME not-there.other.test.
cfar CNAME www.example.invalid.
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
; delegations
del NS ns1.del
del NS ns2.sib
del NS ns.other.test.
del NS far.example.invalid.
del DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118
ns1.del A 192.0.2.7
ns1.del AAAA 2001:db8::7
www.del A 192.0.2.8
sib NS ns2.sib
ns2.sib A 192.0.2.9
both NS ns.both
ns.both A 192.0.2.10
both DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118
mdel MX 10 www.del
; empty non-terminals
a.b.c.ent A 192.0.2.11
; every kind of data
k1 TXT "a" "b c" "\"\001\255"
k2 HINFO "ARM64" "Linux"
k3 NAPTR 100 50 "s" "z3950+I2L+I2C" "" _z3950._tcp.gatech.edu.
k4 TLSA 3 1 1 0C72AC70B745AC19998811B131D662C9AC69DBDBE7CB23E5B514B56664C5D3D6
k5 SSHFP 4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789
k6 SVCB 16 foo.example.org. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1
k7 HTTPS 1 . port=8443 ech=AAEC ipv6hint=2001:db8::1,2001:db8::53:1 key667="a\210b"
k8 TYPE65280 \# 4 0A000001
k9 URI 10 1 "ftp://ftp1.example.com/public"
k10 RP mbox txt
k11 AFSDB 1 mail
k12 CERT 1 2 3 AQIDBA==
k13 OPENPGPKEY AQIDBA==
k14 CSYNC 66 3 A NS AAAA
k15 ZONEMD 7 1 1 FEBE3D4CE2EC2FFA4BA99D46CD69D6D29711E55217057BEE7EB1A7B641A47BA7FED2DD5B97AE499FAFA4F22C6BD647DE
k16 CDS 0 0 0 00
k17 CDNSKEY 0 3 0 AA==
k18 DNAME elsewhere.example.invalid.
k19 PTR Mixed.Case
k20 SMIMEA 3 1 1 00FF
k21 KX 1 mail
k22 DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=
k23 HTTPS 1 sip alpn=h2
k24 SPF "v=spf1 -all"
\046dot.k25 A 192.0.2.12
\000nul\255.k26 A 192.0.2.12
UPPER.Case A 192.0.2.13
"#,
    ),
    (
        "both.example",
        "$TTL 60\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns\nns A 192.0.2.10\nwww A 192.0.2.14\nback CNAME mail.example.\n",
    ),
    (
        "other.test",
        "$TTL 60\n@ SOA ns hostmaster 1 2 3 4 500\n@ NS ns\nns A 192.0.2.20\nwww A 192.0.2.21\nmail A 192.0.2.22\n\
         in CNAME c1.example.\n",
    ),
    ("host.test", "$TTL 60\n@ SOA ns.other.test. h 1 2 3 4 5\n@ NS ns.other.test.\n* A 192.0.2.30\n"),
];

/// Names whose aliases go round in a circle.
const LOOPS: [&str; 3] = ["loop1.example", "loop2.example", "self.example"];

const TYPES: [u16; 20] = [1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 39, 43, 46, 47, 48, 52, 64, 65, 257, 65280];

/// BIND for the zones above, on a loopback port of its own.
struct Named {
    process: Child,
    socket: UdpSocket,
    _folder: tempfile::TempDir,
}

impl Drop for Named {
    fn drop(&mut self) {
        // It may have died by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Named {
    /// `None` where BIND is not installed.
    fn start() -> Option<Self> {
        let program =
            ["/usr/sbin/named", "/usr/local/sbin/named"].into_iter().find(|path| Path::new(path).exists());
        let Some(program) = program else {
            assert!(std::env::var_os("CI").is_none(), "BIND is not installed");
            eprintln!("skipped: BIND (named) is not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = folder.path().display();
        let mut config = format!(
            "options {{ directory \"{at}\"; pid-file none; session-keyfile none; recursion no; notify no;\n\
             listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; dnssec-validation no;\n\
             minimal-responses no-auth; minimal-any no; zero-no-soa-ttl no; check-names primary ignore; }};\n\
             controls {{ }};\n"
        );
        for (apex, text) in ZONES {
            std::fs::write(folder.path().join(apex), text).unwrap();
            config += &format!("zone \"{apex}\" {{ type primary; file \"{at}/{apex}\"; }};\n");
        }
        let config_file = folder.path().join("named.conf");
        std::fs::write(&config_file, config).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(program)
            .args(["-g", "-n", "1", "-c"])
            .arg(&config_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let named = Self { process, socket, _folder: folder };
        for _ in 0..100 {
            let loaded = |apex: &str| {
                named.ask(&apex.parse().unwrap(), 6).is_some_and(|got| got.metadata.authoritative)
            };
            if ZONES.iter().all(|(apex, _)| loaded(apex)) {
                return Some(named);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = std::fs::read_to_string(named._folder.path().join("log")).unwrap_or_default();
        panic!("named did not load the zones within its time:\n{log}");
    }

    fn ask(&self, name: &DomainName, qtype: u16) -> Option<Message> {
        let mut query = Message::new(id_of(name, qtype), MessageType::Query, OpCode::Query);
        query.add_query(Query::query(encode::name(name.as_wire()), RecordType::from(qtype)));
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        query.edns = Some(edns);
        let octets = query.to_vec().unwrap();
        for _ in 0..10 {
            self.socket.send(&octets).ok()?;
            let mut buffer = [0; 4096];
            while let Ok(length) = self.socket.recv(&mut buffer) {
                if buffer[..2] == octets[..2] {
                    return Some(Message::from_vec(&buffer[..length]).unwrap());
                }
            }
        }
        None
    }
}

/// A message id that tells questions apart.
fn id_of(name: &DomainName, qtype: u16) -> u16 {
    name.as_wire().iter().fold(qtype, |id, octet| id.wrapping_mul(31).wrapping_add(u16::from(*octet)))
}

/// Our answer, encoded and decoded, so that both sides went through the same codec.
fn ours(zones: &Zones, name: &DomainName, qtype: u16) -> Message {
    let question = Question { name: name.as_wire(), qtype, qclass: CLASS_IN };
    let answer = answer(zones, &question, "node");
    let name = encode::name(name.as_wire());
    let records = encode::encode(&answer, &name, 4096);
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    message.metadata.response_code = answer.rcode;
    message.metadata.authoritative = answer.authoritative;
    message.metadata.truncation = records.truncated;
    message.add_query(Query::query(name, RecordType::from(qtype)));
    message.answers = records.answers;
    message.authorities = records.authority;
    message.additionals = records.additional;
    Message::from_vec(&message.to_vec().unwrap()).unwrap()
}

fn section(records: &[Record]) -> BTreeSet<String> {
    records.iter().filter(|record| record.record_type() != RecordType::OPT).map(shown).collect()
}

/// A record as text, its owner in lower case.
fn shown(record: &Record) -> String {
    let Record { name, ttl, data, .. } = record;
    format!("{} {ttl} {} {}", name.to_lowercase(), record.record_type(), data)
}

/// Whether two responses say the same, but for what ours may add: BIND stays within one zone, ours goes on into
/// the others that it serves.
fn agreed(zones: &Zones, name: &DomainName, ours: &Message, named: &Message) -> bool {
    let apex = |name: &DomainName| zones.find(name, 1).map(|entry| zone_of(entry).apex().clone());
    let elsewhere = |other: &Name| {
        let other: DomainName = other.to_ascii().parse().unwrap();
        apex(&other).is_some() && apex(&other) != apex(name)
    };
    // A loop of aliases: BIND shows it too, but says SERVFAIL.
    let looping = |name: &DomainName| LOOPS.iter().any(|text| *name == text.parse().unwrap());
    let header = |message: &Message| {
        let code = message.metadata.response_code;
        (if looping(name) { ResponseCode::NoError } else { code }, message.metadata.authoritative)
    };
    let (our_answers, answers) = (section(&ours.answers), section(&named.answers));
    if let Some(RData::CNAME(target)) = named.answers.last().map(|last| &last.data)
        && named.authorities.is_empty()
        && elsewhere(target)
    {
        return our_answers.is_superset(&answers)
            && ours.metadata.authoritative == named.metadata.authoritative;
    }
    let (additional, more): (Vec<_>, Vec<_>) = ours
        .additionals
        .iter()
        .cloned()
        .partition(|record| section(&named.additionals).contains(&shown(record)));
    header(ours) == header(named)
        && our_answers == answers
        && section(&ours.authorities) == section(&named.authorities)
        && section(&additional) == section(&named.additionals)
        && more.iter().all(|record| elsewhere(&record.name))
}

fn zone_of(entry: ZoneEntry) -> Arc<Zone> {
    match entry {
        ZoneEntry::Served(zone) => zone,
        ZoneEntry::Empty | ZoneEntry::Expired => panic!("every zone is served"),
    }
}

/// The owners of all records, with what is above, below and beside them, each asked for in all types; and each record
/// in its own.
fn questions(zones: &Zones) -> BTreeSet<(DomainName, u16)> {
    let mut questions = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (_, entry) in zones.list() {
        for set in zone_of(entry).rrsets() {
            let owner = set.owner();
            questions.insert((owner.clone(), set.rtype()));
            for text in ["x", "*", "0", "zzz", "x.y", "*.x", "x.*"] {
                names.extend(format!("{text}.{owner}").parse::<DomainName>());
            }
            names.extend(std::iter::successors(Some(owner), DomainName::parent));
        }
    }
    questions.extend(names.into_iter().flat_map(|name| TYPES.map(|qtype| (name.clone(), qtype))));
    questions
}

#[test]
fn answers_are_those_of_bind() {
    let Some(named) = Named::start() else { return };
    let zones = Zones::new();
    for (apex, text) in ZONES {
        zones.serve(Arc::new(zonefile::read(apex, text, &apex.parse().unwrap(), None).unwrap()));
    }
    let mut questions = questions(&zones);
    // What a DNAME redirects is not answered yet.
    let redirecting: DomainName = "k18.example".parse().unwrap();
    questions.retain(|(name, _)| *name == redirecting || !name.is_within(&redirecting));
    assert!(questions.len() > 10_000);
    let mut differences = Vec::new();
    for (name, qtype) in &questions {
        let ours = ours(&zones, name, *qtype);
        let theirs = named.ask(name, *qtype).expect("named answers");
        if !agreed(&zones, name, &ours, &theirs) {
            differences.push(format!("{name} {}\nours {ours}\nBIND {theirs}", RecordType::from(*qtype)));
        }
    }
    let shown = &differences[..differences.len().min(10)];
    let asked = questions.len();
    assert!(differences.is_empty(), "{} of {asked} differ:\n{}", differences.len(), shown.join("\n"));
}
