//! Catalog zones (RFC 9432) with real producers and consumers: Knot lists a customer's zones, the agent takes them, and
//! Knot and BIND take what the agent lists.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use shoestring::status::CatalogStatus;

use crate::namespace::in_a_namespace;
use crate::one_node::{Lab, missing, run};

const CATALOG: &str = "cat.customer.example";
const OFFER: &str = "offer.customer.example";

const FILES: [(&str, &str); 2] = [
    ("cat.customer.example", "kind: catalog\nprimaries: [{ address: '127.0.0.1:5301' }]\n"),
    (
        "offer.customer.example",
        "kind: offered-catalog\n\
         transfer_to: [{ address: 203.0.113.0/24 }]\n\
         notify: [{ address: '127.0.0.1:5302' }, { address: '127.0.0.1:5303' }]\n",
    ),
];

// Knot reads no YAML but its own: a `[list]` is the most that fits on a line.
const PRODUCER: &str = "
server:
    listen: 127.0.0.1@5301
    rundir: DIR
database:
    storage: DIR/db
remote:
  - id: hub
    address: 203.0.113.2
    via: 127.0.0.1
acl:
  - id: any
    address: [127.0.0.0/8, 203.0.113.0/24]
    action: transfer
template:
  - id: default
    storage: DIR
    file: \"%s.zone\"
    acl: any
    notify: hub
  - id: member
    storage: DIR
    file: \"%s.zone\"
    acl: any
    notify: hub
    catalog-role: member
    catalog-zone: cat.customer.example
zone:
";

const KNOT: &str = "
server:
    listen: 127.0.0.1@5302
    rundir: DIR
database:
    storage: DIR/db
remote:
  - id: hub
    address: 203.0.113.2
acl:
  - id: hub
    address: [127.0.0.1, 203.0.113.2]
    action: notify
template:
  - id: member
    storage: DIR
    master: hub
    acl: hub
zone:
  - domain: offer.customer.example
    storage: DIR
    master: hub
    acl: hub
    catalog-role: interpret
    catalog-template: member
";

const BIND: &str = r#"
options {
  min-retry-time 15;
  directory "DIR"; pid-file none; session-keyfile none; recursion no; listen-on-v6 { none; };
  listen-on port 5303 { 127.0.0.1; }; allow-notify { 127.0.0.1; };
  catalog-zones {
    zone "offer.customer.example" default-primaries { 203.0.113.2; } in-memory yes min-update-interval 1;
  };
};
controls {};
zone "offer.customer.example" { type secondary; primaries { 203.0.113.2; }; file "DIR/offer.zone"; };
"#;

/// A zone file that begins with this serial.
fn zone(serial: u32, records: &str) -> String {
    format!("$TTL 300\n@ SOA ns h {serial} 3600 600 86400 300\n@ NS ns\nns A 192.0.2.53\n{records}")
}

/// Why a test cannot be run here.
fn lacking(programs: &[&str]) -> Option<String> {
    let is_there = |program: &str| Path::new("/usr/sbin").join(program).exists();
    missing().or_else(|| programs.iter().find(|it| !is_there(it)).map(|it| format!("needs {it}")))
}

struct Customer {
    lab: Lab,
    /// What our node runs.
    dns: &'static str,
    /// The serial of the catalog that is a file.
    produced: u32,
}

impl Customer {
    /// The smallest network, whose node runs this name server, and whose customer has a catalog.
    fn new(dns: &'static str) -> Self {
        let lab = Lab::new();
        fs::set_permissions(lab.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(lab.path("work/zones/customer/customer.example.yaml")).unwrap();
        for (zone, text) in FILES {
            fs::write(lab.path(&format!("work/zones/customer/{zone}.yaml")), text).unwrap();
        }
        let node = lab.path("work/nodes/alpha.yaml");
        let text = fs::read_to_string(&node).unwrap().replace("dns: embedded", &format!("dns: {dns}"));
        fs::write(&node, text).unwrap();
        lab.commit("Take the customer's catalog");
        lab.git(&["push", "-q", "origin", "main"]);
        let config = lab.path("config.yaml");
        let text = fs::read_to_string(&config).unwrap() + "supervision: child\n";
        fs::write(&config, text).unwrap();
        for (folder, file, text) in
            [("producer", "knot.conf", PRODUCER), ("knot", "knot.conf", KNOT), ("named", "named.conf", BIND)]
        {
            let folder = lab.path(folder);
            fs::create_dir_all(folder.join("db")).unwrap();
            fs::write(folder.join(file), text.replace("DIR", &folder.display().to_string())).unwrap();
        }
        Self { lab, dns, produced: 1_000 }
    }

    /// Starts a name server of the customer's.
    fn start(&mut self, name: &'static str) {
        let folder = self.lab.path(name);
        let mut command = match name {
            "named" => Command::new("named"),
            _ => Command::new("knotd"),
        };
        match name {
            "named" => command.arg("-f").arg("-c").arg(folder.join("named.conf")),
            _ => command.arg("-c").arg(folder.join("knot.conf")),
        };
        let log = fs::File::create(folder.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.lab.running.push((name, command.spawn().unwrap()));
    }

    /// What the producer has from now on: these zones, and a catalog of them. PowerDNS asks by UDP, where Knot refuses to
    /// say anything of a catalog that it makes itself; for it, the catalog is a file.
    fn produce(&mut self, zones: &[&str]) {
        let folder = self.lab.path("producer");
        let mut text = PRODUCER.replace("DIR", &folder.display().to_string());
        let mut records = "version TXT \"2\"\n".to_owned();
        for member in zones {
            fs::write(folder.join(format!("{member}.zone")), zone(1, "www A 203.0.113.80\n")).unwrap();
            text += &format!("  - domain: {member}\n    template: member\n");
            records += &format!("{}.zones PTR {member}.\n", member.replace('.', "-"));
        }
        let is_generated = self.dns != "powerdns";
        let catalog = if is_generated { "catalog-role: generate" } else { "template: default" };
        if !is_generated {
            text = text.replace("    catalog-role: member\n    catalog-zone: cat.customer.example\n", "");
            self.produced += 1;
            fs::write(folder.join(format!("{CATALOG}.zone")), zone(self.produced, &records)).unwrap();
        }
        text += &format!("  - domain: {CATALOG}\n    {catalog}\n");
        fs::write(folder.join("knot.conf"), text).unwrap();
    }

    /// The same without zones, and with a catalog that is broken.
    fn produce_broken(&self) {
        let folder = self.lab.path("producer");
        fs::write(folder.join(format!("{CATALOG}.zone")), zone(2_000_000_000, "version TXT \"9\"\n"))
            .unwrap();
        let text = PRODUCER.replace("DIR", &folder.display().to_string());
        let text = format!("{text}  - domain: {CATALOG}\n    template: default\n");
        fs::write(folder.join("knot.conf"), text).unwrap();
    }

    fn reload(&self) {
        run(Command::new("knotc").arg("-c").arg(self.lab.path("producer/knot.conf")).arg("reload"));
    }

    /// Empties the catalog, and waits until that is held. Returns what the status says of it.
    fn until_held(&mut self) -> String {
        self.produce(&[]);
        self.reload();
        let mut why = String::new();
        self.lab.until("the emptied catalog is held", |lab| {
            let catalog = catalog_of(lab).filter(|catalog| catalog.members == 2);
            why = catalog.and_then(|catalog| catalog.problem).unwrap_or_default();
            why.contains("is held: it would take away")
        });
        why
    }

    fn catalog(&self, name: &str) -> Option<CatalogStatus> {
        self.lab.status()?.catalogs.get(&name.parse().unwrap()).cloned()
    }

    /// Waits until the node, and whoever consumes what it offers, have these zones of the customer's and no others.
    fn until(&self, present: &[&str], absent: &[&str]) {
        for (server, port) in [("192.0.2.53", "53"), ("127.0.0.1", "5302"), ("127.0.0.1", "5303")] {
            for zone in present {
                self.lab.until(&format!("{zone} at {server} {port}"), |_| {
                    dig(server, port, zone).contains("status: NOERROR")
                        && dig(server, port, zone).contains("203.0.113.80")
                });
            }
            for zone in absent {
                let what = format!("{zone} gone from {server} {port}");
                self.lab.until(&what, |_| dig(server, port, zone).contains("status: REFUSED"));
            }
        }
    }
}

impl Drop for Customer {
    fn drop(&mut self) {
        // The daemon outlives the agent, which would start it again.
        self.lab.end_all();
        for daemon in ["bind", "nsd", "knot", "powerdns"] {
            let pid = self.lab.path(&format!("state-daemons/{daemon}/{daemon}.pid"));
            let text = fs::read_to_string(pid).unwrap_or_default();
            if let Some(pid) = text.split(' ').next().and_then(|pid| pid.parse().ok()) {
                let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

fn catalog_of(lab: &Lab) -> Option<CatalogStatus> {
    lab.status()?.catalogs.get(&CATALOG.parse().unwrap()).cloned()
}

fn dig(server: &str, port: &str, zone: &str) -> String {
    let output = Command::new("dig")
        .args([
            "+norec",
            "+tries=1",
            "+time=1",
            "-p",
            port,
            &format!("@{server}"),
            &format!("www.{zone}"),
            "A",
        ])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn scenario(dns: &'static str) {
    let mut customer = Customer::new(dns);
    customer.produce(&["one.example"]);
    customer.start("producer");
    customer.lab.start("bird");
    customer.lab.start("agent");
    customer.lab.until("it settles", |lab| lab.status().is_some_and(|status| status.settled));
    customer.start("knot");
    customer.start("named");
    customer.until(&["one.example"], &["two.example"]);
    let running = customer.lab.status().unwrap().name_server.running;
    assert_eq!(running, dns);

    // One more, and one that is none of the customer's to have.
    customer.produce(&["one.example", "two.example", "canary.example"]);
    customer.reload();
    customer.until(&["one.example", "two.example"], &[]);
    let catalog = customer.catalog(CATALOG).unwrap();
    assert_eq!((catalog.members, catalog.refusals, catalog.problem), (2, 1, None));
    let why = &catalog.refused[&"canary.example".parse().unwrap()];
    assert_eq!(why, "zones/operator/canary.example.yaml has it");
    let offer = customer.catalog(OFFER).unwrap();
    assert_eq!((offer.is_offered, offer.members), (true, 2));

    // An emptied one takes nothing away, until it recovers or somebody says that it is meant.
    customer.until_held();
    customer.until(&["one.example", "two.example"], &[]);
    customer.produce(&["one.example", "two.example"]);
    customer.reload();
    customer.lab.until("it recovers", |lab| catalog_of(lab).is_some_and(|catalog| catalog.problem.is_none()));
    let why = customer.until_held();
    let serial = why.split(' ').nth(1).unwrap();
    let file = customer.lab.path(&format!("work/zones/customer/{CATALOG}.yaml"));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}members: {{ confirmed: {serial} }}\n")).unwrap();
    customer.lab.commit("Let the customer's zones go");
    customer.lab.git(&["push", "-q", "origin", "main"]);
    customer.until(&[], &["one.example", "two.example"]);

    customer.produce(&["two.example"]);
    customer.reload();
    customer.until(&["two.example"], &["one.example"]);
    assert_eq!(customer.catalog(CATALOG).unwrap().problem, None);

    let removals = |lab: &Lab| {
        let log = fs::read_to_string(lab.path("agent.err")).unwrap();
        log.matches("remove zone two.example").count()
    };
    let removed = removals(&customer.lab);

    // A broken one, which lists nothing, takes nothing away.
    customer.lab.end("producer", Signal::SIGTERM);
    customer.produce_broken();
    customer.start("producer");
    customer.lab.until("the broken catalog is told of", |lab| {
        let catalog = lab.status().and_then(|status| status.catalogs.get(&CATALOG.parse().unwrap()).cloned());
        catalog.is_some_and(|catalog| catalog.problem.is_some_and(|why| why.contains("its version is \"9\"")))
    });
    customer.until(&["two.example"], &["one.example"]);

    // Nobody is there to ask when the agent starts again, and what it kept of the catalog is broken.
    customer.lab.end("producer", Signal::SIGKILL);
    customer.lab.end("agent", Signal::SIGKILL);
    customer.lab.start("agent");
    customer.lab.until("it is told of again", |lab| {
        let catalog = lab.status().and_then(|status| status.catalogs.get(&CATALOG.parse().unwrap()).cloned());
        catalog.is_some_and(|catalog| catalog.members == 1 && catalog.problem.is_some())
    });
    customer.until(&["two.example"], &["one.example"]);
    assert!(removed > 0, "it went when that was meant");
    assert_eq!(removals(&customer.lab), removed, "it went for another reason");
}

fn with(dns: &'static str, programs: &[&str]) {
    in_a_namespace(lacking(programs), || scenario(dns));
}

#[test]
fn embedded() {
    with("embedded", &["knotd", "knotc"]);
}

#[test]
fn bind() {
    with("bind", &["knotd", "knotc"]);
}

#[test]
fn nsd() {
    with("nsd", &["knotd", "knotc", "nsd"]);
}

#[test]
fn knot() {
    with("knot", &["knotd", "knotc"]);
}

#[test]
fn powerdns() {
    with("powerdns", &["knotd", "knotc", "pdns_server"]);
}
