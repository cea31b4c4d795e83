//! The embedded speaker beside BIRD, each towards the same provider: how soon a decision and a crash are seen there, and
//! what it costs. The provider is ours, in this process; nothing leaves the loopback.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shoestring::desired::model::{Import, Relation};
use shoestring::routing::embedded::provider::{
    Change, Customer, ProviderConfig, ProviderEvent, ProviderSpeaker,
};
use shoestring::routing::embedded::{EmbeddedSpeaker, RetryPolicy, SpeakerOptions};
use shoestring::routing::{
    Announcement, Family, Origination, RoutingConfig, RoutingDaemon, RoutingDaemonKind, SessionConfig,
    SessionName,
};
use tokio::sync::mpsc;

use super::figures;
use super::usage::Processes;

const OURS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);
const FEED: Ipv4Addr = Ipv4Addr::new(127, 1, 2, 1);
const PREFIX: &str = "198.51.100.0/24";
const OUR_ASN: u32 = 64500;
const PROVIDER_ASN: u32 = 65536;
/// Sessions of the measurements that take many.
const SESSIONS: u8 = 50;
/// Routes of a full table, as far as it fits a benchmark.
const ROUTES: u32 = 100_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Embedded,
    Bird,
}

/// Prints the table.
pub fn measure(quick: bool) {
    let rounds = if quick { 5 } else { 20 };
    let columns = [Kind::Embedded, Kind::Bird].map(|kind| figures_of(kind, rounds));
    let names = [
        "decision to route at the provider, ms",
        "decision to route gone, ms",
        "kill -9 to route gone, ms",
        "memory with 1 session, MB (PSS)",
        "memory with 50 sessions, MB (PSS)",
        "CPU of 50 idle sessions, ms a second",
        "CPU to receive and discard 100,000 routes, ms",
        "memory after that, MB (PSS)",
    ];
    let rows: Vec<Vec<String>> = names
        .iter()
        .enumerate()
        .map(|(row, name)| {
            [vec![(*name).to_owned()], columns.iter().map(|column| format!("{:.2}", column[row])).collect()]
                .concat()
        })
        .collect();
    let header = ["", "embedded", "BIRD"].map(str::to_owned);
    figures::print("The embedded BGP speaker beside BIRD, towards the same provider", &header, &rows);
}

fn figures_of(kind: Kind, rounds: usize) -> [f64; 8] {
    let (mut up, mut down, mut crash) = (Vec::new(), Vec::new(), Vec::new());
    let mut one = 0.0;
    for _ in 0..rounds.div_ceil(4) {
        let mut provider = Provider::start(1);
        let mut subject = Subject::start(kind, &provider, false);
        provider.until(|change| *change == Change::Up);
        for _ in 0..4 {
            up.push(
                subject.tell("announce", &mut provider, |change| matches!(change, Change::Announced { .. })),
            );
            down.push(
                subject.tell("withdraw", &mut provider, |change| matches!(change, Change::Withdrawn { .. })),
            );
        }
        one = subject.usage().memory();
        subject.tell("announce", &mut provider, |change| matches!(change, Change::Announced { .. }));
        let killed = Instant::now();
        subject.process.kill().unwrap();
        provider.until(|change| matches!(change, Change::Withdrawn { .. }));
        crash.push(killed.elapsed().as_secs_f64() * 1000.0);
    }
    let (many, idle) = with_many(kind, rounds);
    let (feed, fed) = fed(kind);
    [up, down, crash]
        .map(figures::median)
        .into_iter()
        .chain([one, many, idle, feed, fed])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

fn with_many(kind: Kind, rounds: usize) -> (f64, f64) {
    let mut provider = Provider::start(SESSIONS);
    let subject = Subject::start(kind, &provider, false);
    for _ in 0..SESSIONS {
        provider.until(|change| *change == Change::Up);
    }
    let usage = subject.usage();
    let (before, begun) = (usage.cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(if rounds < 10 { 10 } else { 30 }));
    let spent = (usage.cpu() - before).as_secs_f64() * 1000.0;
    (usage.memory(), spent / begun.elapsed().as_secs_f64())
}

/// CPU for the routes in milliseconds, and the memory after them.
fn fed(kind: Kind) -> (f64, f64) {
    let mut provider = Provider::start(1);
    let listener = TcpListener::bind((FEED, provider.port)).unwrap();
    let mut subject = Subject::start(kind, &provider, true);
    provider.until(|change| *change == Change::Up);
    subject.tell("announce", &mut provider, |change| matches!(change, Change::Announced { .. }));
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&opening()).unwrap();
    until_update(&mut stream);
    let usage = subject.usage();
    let before = usage.cpu();
    stream.write_all(&table()).unwrap();
    // What it answers to comes after all that was before.
    stream.write_all(&message(5, &[0, 1, 0, 1])).unwrap();
    until_update(&mut stream);
    ((usage.cpu() - before).as_secs_f64() * 1000.0, usage.memory())
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
    [&[0xff; 16], &length[..], &[kind], body].concat()
}

/// OPEN and KEEPALIVE of the feed, whose AS number is the provider's.
fn opening() -> Vec<u8> {
    let [a, b, c, d] = PROVIDER_ASN.to_be_bytes();
    let capabilities = [1, 4, 0, 1, 0, 1, 2, 0, 65, 4, a, b, c, d];
    let head = [4, 0x5b, 0xa0, 0, 90, 127, 1, 2, 1, 16, 2, 14];
    [message(1, &[&head[..], &capabilities].concat()), message(4, &[])].concat()
}

/// UPDATEs of a hundred /24s each, every one with another path.
fn table() -> Vec<u8> {
    let update = |number: u32| {
        let [a, b, c, d] = (70_000 + number).to_be_bytes();
        let path = [0, 1, 0, 0, 0, 1, 1, 1, a, b, c, d];
        let attributes = [
            &[0x40, 1, 1, 0, 0x40, 2, 14, 2, 3][..],
            &path,
            &[0x40, 3, 4, 127, 1, 2, 1, 0xc0, 8, 4, 0, 9, 0, 9],
        ]
        .concat();
        let routes = (number * 100..number * 100 + 100).flat_map(|route| {
            let [_, high, middle, low] = (route + (20 << 16)).to_be_bytes();
            [24, high, middle, low]
        });
        let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        message(2, &[&[0, 0], &length[..], &attributes, &routes.collect::<Vec<u8>>()].concat())
    };
    (0..ROUTES / 100).flat_map(update).collect()
}

/// Reads until an UPDATE that announces something.
fn until_update(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut header = [0; 19];
    loop {
        stream.read_exact(&mut header).unwrap();
        let mut body = vec![0; usize::from(u16::from_be_bytes([header[16], header[17]])) - 19];
        stream.read_exact(&mut body).unwrap();
        assert_ne!(header[18], 3, "a NOTIFICATION: {body:?}");
        if header[18] == 2 && body.len() > 4 {
            return;
        }
    }
}

/// The provider, and what it hears.
struct Provider {
    port: u16,
    sessions: u8,
    heard: mpsc::Receiver<ProviderEvent>,
    _speaker: ProviderSpeaker,
    _runtime: tokio::runtime::Runtime,
}

impl Provider {
    fn start(sessions: u8) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let customer = |number| Customer {
            local: neighbor(number),
            neighbor: OURS.into(),
            asn: OUR_ASN.try_into().unwrap(),
            relation: Relation::Provider,
            multihop: Some(64),
        };
        let config = ProviderConfig {
            asn: PROVIDER_ASN.try_into().unwrap(),
            router_id: Ipv4Addr::new(127, 1, 1, 1),
            port,
            customers: (1..=sessions).map(customer).collect(),
            passwords: [].into(),
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (events, heard) = mpsc::channel(1024);
        let speaker = {
            let _inside = runtime.enter();
            ProviderSpeaker::start(&config, &Arc::default(), &events).unwrap()
        };
        Self { port, sessions, heard, _speaker: speaker, _runtime: runtime }
    }

    fn until(&mut self, wanted: impl Fn(&Change) -> bool) {
        while !wanted(&self.heard.blocking_recv().expect("the provider runs").change) {}
    }
}

fn neighbor(number: u8) -> IpAddr {
    [127, 1, 1, number].into()
}

/// What is measured, as a process of its own.
struct Subject {
    process: Child,
    control: Control,
    _folder: tempfile::TempDir,
}

enum Control {
    Embedded(ChildStdin, #[expect(dead_code, reason = "kept open")] BufReader<ChildStdout>),
    Bird(UnixStream),
}

impl Subject {
    fn start(kind: Kind, provider: &Provider, with_feed: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).current_dir(folder.path());
        match kind {
            Kind::Embedded => {
                let feed = if with_feed { "feed" } else { "none" };
                command.arg(std::env::current_exe().unwrap()).args(["speak", feed]);
                command.args([provider.port.to_string(), provider.sessions.to_string()]);
                let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
                let input = process.stdin.take().unwrap();
                let output = BufReader::new(process.stdout.take().unwrap());
                Self { process, control: Control::Embedded(input, output), _folder: folder }
            }
            Kind::Bird => {
                fs::write(folder.path().join("bird.conf"), bird(provider, with_feed)).unwrap();
                let process = command
                    .args(["bird", "-f", "-c", "bird.conf", "-s", "control", "-P", "pid"])
                    .spawn()
                    .unwrap();
                let control = loop {
                    match UnixStream::connect(folder.path().join("control")) {
                        Ok(control) => break control,
                        Err(_) => std::thread::sleep(Duration::from_millis(10)),
                    }
                };
                Self { process, control: Control::Bird(control), _folder: folder }
            }
        }
    }

    fn usage(&self) -> Processes {
        Processes::of(self.process.id())
    }

    /// Milliseconds from the order to its effect at the provider.
    fn tell(&mut self, order: &str, provider: &mut Provider, effect: impl Fn(&Change) -> bool) -> f64 {
        std::thread::sleep(Duration::from_millis(50));
        let told = Instant::now();
        match &mut self.control {
            Control::Embedded(input, _) => writeln!(input, "{order}").unwrap(),
            Control::Bird(control) => {
                let order = if order == "announce" { "enable" } else { "disable" };
                writeln!(control, "{order} announced").unwrap();
            }
        }
        provider.until(effect);
        told.elapsed().as_secs_f64() * 1000.0
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn bird(provider: &Provider, with_feed: bool) -> String {
    let listening = TcpListener::bind((OURS, 0)).unwrap().local_addr().unwrap().port();
    let neighbors = (1..=provider.sessions).map(neighbor).chain(with_feed.then_some(FEED.into()));
    let sessions: String = neighbors
        .map(|neighbor| {
            format!(
                "protocol bgp from node {{ local {OURS} port {listening} as {OUR_ASN}; \
                 neighbor {neighbor} port {} as {PROVIDER_ASN}; }}\n",
                provider.port
            )
        })
        .collect();
    format!(
        "log \"log\" {{ error, fatal }};\nrouter id {OURS};\nprotocol device {{}}\n\
         protocol static announced {{ disabled; ipv4; route {PREFIX} blackhole; }}\n\
         template bgp node {{ multihop; hold time 30; connect delay time 1; error wait time 1, 1;\n\
         ipv4 {{ import none; export where source = RTS_STATIC; next hop self; }}; }}\n{sessions}"
    )
}

/// The embedded speaker, until it is killed: `<feed or none> <port> <sessions>`, then orders line by line.
pub fn speak(arguments: &[String]) {
    let [feed, port, sessions] = arguments else { panic!("speak <feed> <port> <sessions>") };
    let second = Duration::from_secs(1);
    let retry = RetryPolicy { first: second, most: second, hold_off: second };
    let options = SpeakerOptions { port: port.parse().unwrap(), retry };
    let neighbors =
        (1..=sessions.parse().unwrap()).map(neighbor).chain((feed == "feed").then_some(FEED.into()));
    let config = RoutingConfig {
        daemon: RoutingDaemonKind::Embedded,
        asn: OUR_ASN.try_into().unwrap(),
        router_id: OURS,
        prefixes: [PREFIX.parse().unwrap()].into(),
        sessions: neighbors.enumerate().map(|(number, neighbor)| session(number, neighbor)).collect(),
        drain_prepend: 0,
        archive: None,
        trial: RoutingConfig::TRIAL,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let speaker = EmbeddedSpeaker::with_options(options, Arc::default());
    runtime.block_on(speaker.configure(&config)).unwrap();
    for order in std::io::stdin().lock().lines() {
        let announced =
            (order.unwrap() == "announce").then(|| (PREFIX.parse().unwrap(), Announcement::Normal));
        runtime.block_on(speaker.originate(&Origination::from_iter(announced))).unwrap();
    }
}

fn session(number: usize, neighbor: IpAddr) -> (SessionName, SessionConfig) {
    let name = SessionName { peer: format!("peer-{number}").parse().unwrap(), family: Family::V4 };
    let session = SessionConfig {
        local: OURS.into(),
        neighbor,
        asn: PROVIDER_ASN.try_into().unwrap(),
        relation: Relation::Provider,
        strict_role: false,
        communities: [].into(),
        prepend: 0,
        import: Import::Full,
        multihop: Some(64),
        bfd: None,
        password: None,
    };
    (name, session)
}
