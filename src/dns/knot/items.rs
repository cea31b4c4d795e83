//! What Knot is told: items, each a key as `conf-read` shows it, and values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use base64ct::{Base64, Encoding};

use crate::dns::external::{Place, Setup, zone_file_name};
use crate::dns::{TransferClient, ZoneConfig, ZoneRecords};
use crate::fingerprint::Fingerprint;
use crate::keyring::TsigKey;
use crate::names::{DomainName, SecretName};

/// Where it counts queries: the module, and its item.
pub(super) const QUERIES: (&str, &str) = ("mod-stats", "query-type");

/// Items in the order in which they have to be set: what is named before what names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Items(Vec<Item>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    section: &'static str,
    /// Of the section's member; sections of one member have none.
    id: Option<String>,
    name: &'static str,
    values: Vec<String>,
}

impl Item {
    /// As `conf-read` shows it.
    fn key(&self) -> String {
        match &self.id {
            Some(id) => format!("{}[{id}].{}", self.section, self.name),
            None => format!("{}.{}", self.section, self.name),
        }
    }

    /// What sets it.
    fn command(&self) -> String {
        let values = self.values.iter().map(|value| format!(" \"{value}\"")).collect::<String>();
        format!("conf-set {}{values}\n", self.key())
    }
}

impl Items {
    fn set(&mut self, section: &'static str, id: Option<&str>, name: &'static str, values: &[String]) {
        let (id, values) = (id.map(str::to_owned), values.to_vec());
        self.0.push(Item { section, id, name, values });
    }

    /// Sections together, as a file has them.
    #[cfg(test)]
    pub(super) fn by_section(mut self) -> Self {
        let order = [
            "server",
            "control",
            "database",
            "log",
            "mod-stats",
            "mod-rrl",
            "mod-cookies",
            "mod-queryacl",
            "key",
            "remote",
            "acl",
            "template",
        ];
        self.0.sort_by_key(|item| order.iter().position(|section| *section == item.section));
        self
    }

    /// As `conf-read` shows them.
    #[cfg(test)]
    pub(super) fn shown(&self) -> BTreeSet<(String, String)> {
        self.0.iter().map(|item| (item.key(), item.values.join(" "))).collect()
    }

    /// As a file.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut at: Option<(&str, Option<&String>)> = None;
        for Item { section, id, name, values } in &self.0 {
            if at.map(|(section, _)| section) != Some(section) {
                let _ = writeln!(text, "{section}:");
            }
            let here = (*section, id.as_ref());
            if let (Some(id), true) = (id, at != Some(here)) {
                let key = if *section == "log" { "target" } else { "id" };
                let _ = writeln!(text, "  - {key}: \"{id}\"");
            }
            at = Some(here);
            let indent = if id.is_some() { "    " } else { "  " };
            match &values[..] {
                [value] => {
                    let _ = writeln!(text, "{indent}{name}: \"{value}\"");
                }
                values => {
                    let values = values.iter().map(|value| format!("\"{value}\"")).collect::<Vec<_>>();
                    let _ = writeln!(text, "{indent}{name}: [{}]", values.join(", "));
                }
            }
        }
        text
    }

    /// The commands that make what is present these items, and whether some of them count only after a restart. Keys stay:
    /// zones may still name them.
    pub(super) fn changes_from(&self, present: &BTreeSet<(String, String)>) -> (String, bool) {
        let mut commands = String::new();
        let wanted: BTreeMap<String, &Item> = self.0.iter().map(|item| (item.key(), item)).collect();
        let sections: BTreeSet<&str> = self.0.iter().map(|item| item.section).collect();
        for (key, _) in present {
            let section = key.split(['.', '[']).next().unwrap_or_default();
            let is_id = key.ends_with(".id") || key.ends_with(".target");
            if !is_id && sections.contains(section) && !wanted.contains_key(key) && section != "key" {
                let _ = writeln!(commands, "conf-unset {key}");
            }
        }
        commands.push_str(&self.additions_to(present));
        let is_fixed = |item: &Item| matches!(item.name, "listen" | "user" | "rundir" | "storage");
        let restart = self.0.iter().any(|item| is_fixed(item) && !is_present(item, present));
        (commands, restart)
    }

    /// The commands that set the items that are not there, or there with other values.
    pub(super) fn additions_to(&self, present: &BTreeSet<(String, String)>) -> String {
        let mut commands = String::new();
        let mut begun = BTreeSet::new();
        for item in self.0.iter().filter(|item| !is_present(item, present)) {
            let key = item.key();
            if let Some(id) = &item.id {
                let member = format!("{}[{id}]", item.section);
                let there = present.iter().any(|(key, _)| key.starts_with(&format!("{member}.")));
                if !there && begun.insert(member.clone()) {
                    let _ = writeln!(commands, "conf-set {member}");
                }
            }
            if present.iter().any(|(there, _)| *there == key) {
                let _ = writeln!(commands, "conf-unset {key}");
            }
            commands.push_str(&item.command());
        }
        commands
    }
}

fn is_present(item: &Item, present: &BTreeSet<(String, String)>) -> bool {
    present.contains(&(item.key(), item.values.join(" ")))
}

/// The whole configuration but for zones and what they have in common.
pub(super) fn server(setup: &Setup<'_>) -> Result<Items, String> {
    let Setup { place, config, keys, cookie } = setup;
    let mut items = Items::default();
    let path = |path: std::path::PathBuf| path.display().to_string();
    let one = |value: &str| [value.to_owned()];
    let mut server = |name, values: &[String]| items.set("server", None, name, values);
    server("identity", &one(&config.identity));
    server("nsid", &one(&config.identity));
    server("version", &one(""));
    server("rundir", &one(&path(place.run())));
    if let Some(user) = &place.user {
        server("user", &one(&user.name));
    }
    let listen = config.listen.iter().chain([&place.local]).map(address).collect::<BTreeSet<_>>();
    server("listen", &listen.into_iter().collect::<Vec<_>>());
    let milliseconds = config.transfers.message.as_millis().clamp(1_000, 60_000);
    server("tcp-remote-io-timeout", &one(&milliseconds.to_string()));
    items.set("control", None, "listen", &one(&path(place.run().join("knot.sock"))));
    items.set("database", None, "storage", &one(&path(place.data())));
    items.set("log", Some("stderr"), "any", &one("notice"));
    let mut names = BTreeMap::new();
    for (secret, key) in keys {
        if let Some(other) = names.insert(&key.name, secret) {
            return Err(format!("the secrets {other} and {secret} both hold a TSIG key called {}", key.name));
        }
        let id = key_id(key);
        items.set("key", Some(&id), "algorithm", &one(key.algorithm.word()));
        items.set("key", Some(&id), "secret", &one(&Base64::encode_string(key.secret.expose())));
    }
    // Queries by type, and nothing else that it could count. First, so that it sees what others drop.
    let (statistics, types) = QUERIES;
    for (name, value) in [
        ("request-protocol", "off"),
        ("server-operation", "off"),
        ("request-bytes", "off"),
        ("response-bytes", "off"),
        ("response-code", "off"),
        (types, "on"),
    ] {
        items.set(statistics, Some("all"), name, &one(value));
    }
    let mut modules = vec!["mod-stats/all".to_owned()];
    if let Some(limit) = &config.rate_limit {
        let mut rrl = |name, values: &[String]| items.set("mod-rrl", Some("all"), name, values);
        rrl("rate-limit", &one(&limit.responses_per_second.to_string()));
        rrl("slip", &one(&limit.slip.to_string()));
        let exempt = limit.exempt.iter().map(ToString::to_string);
        rrl("whitelist", &exempt.chain([place.local.ip().to_string()]).collect::<Vec<_>>());
        modules.push("mod-rrl/all".to_owned());
    }
    if let Some(cookie) = cookie {
        let hex = cookie.current.expose().iter().fold("0x".to_owned(), |mut hex, octet| {
            let _ = write!(hex, "{octet:02x}");
            hex
        });
        items.set("mod-cookies", Some("all"), "secret", &one(&hex));
        modules.push("mod-cookies/all".to_owned());
    }
    items.set("template", Some("default"), "storage", &one(&path(place.data())));
    items.set("template", Some("default"), "global-module", &modules);
    Ok(items)
}

/// What several zones have in common.
pub(super) struct Group {
    id: String,
    items: Items,
}

impl Group {
    /// The template of a zone.
    pub(super) fn id(place: &Place, zone: &ZoneConfig) -> String {
        let sources = match &zone.source {
            ZoneRecords::File { .. } => "file".to_owned(),
            ZoneRecords::Transfer(sources) => format!("{sources:?}"),
        };
        let private = if zone.is_private { " private" } else { "" };
        let rest = format!("{:?} {:?} {place:?}{private}", zone.notify, zone.transfer_to);
        id("t", &[sources.as_bytes(), rest.as_bytes()])
    }

    /// The template, and what it names.
    pub(super) fn of(setup: &Setup<'_>, zone: &ZoneConfig) -> Result<Self, String> {
        let Setup { place, config, keys, cookie: _ } = setup;
        let key = |name: &Option<SecretName>| -> Result<Option<String>, String> {
            let Some(name) = name else { return Ok(None) };
            let key =
                keys.get(name).ok_or_else(|| format!("{}: the TSIG key {name} cannot be read", zone.name))?;
            Ok(Some(key_id(key)))
        };
        let (mut items, id) = (Items::default(), Self::id(place, zone));
        let mut remote = |to: &SocketAddr, from: &Option<IpAddr>, key: &Option<String>| {
            let id = self::id("r", &[format!("{to} {from:?} {key:?}").as_bytes()]);
            items.set("remote", Some(&id), "address", &[address(to)]);
            if let Some(from) = from {
                items.set("remote", Some(&id), "via", &[from.to_string()]);
            }
            if let Some(key) = key {
                items.set("remote", Some(&id), "key", std::slice::from_ref(key));
            }
            id
        };
        let (mut masters, mut rules) = (Vec::new(), BTreeSet::new());
        if let ZoneRecords::Transfer(sources) = &zone.source {
            for source in sources {
                let key = key(&source.tsig_key)?;
                masters.push(remote(&source.address, &source.from, &key));
                rules.insert(("notify", key, Some(source.address.ip().to_string())));
            }
        }
        let mut notify = Vec::new();
        for target in zone.notify.iter() {
            notify.push(remote(&target.address, &target.from, &key(&target.tsig_key)?));
        }
        for TransferClient { network, tsig_key } in zone.transfer_to.iter() {
            rules.insert(("transfer", key(tsig_key)?, network.map(|network| network.to_string())));
        }
        rules.insert(("transfer", None, Some(place.local.ip().to_string())));
        // It asks queries for no key. Who has one and may be anywhere has to be let in with everybody.
        let askers: Option<Vec<String>> = zone
            .transfer_to
            .iter()
            .map(|client| client.network.map(|network| network.to_string()))
            .chain([Some(place.local.ip().to_string())])
            .collect();
        let askers = askers.filter(|_| zone.is_private);
        let mut acls: BTreeMap<(&str, Option<String>, bool), Vec<String>> = BTreeMap::new();
        for (action, key, network) in rules {
            acls.entry((action, key, network.is_some())).or_default().extend(network);
        }
        let mut named = Vec::new();
        for ((action, key, _), addresses) in acls {
            let id = self::id("a", &[format!("{action} {key:?} {addresses:?}").as_bytes()]);
            if !addresses.is_empty() {
                items.set("acl", Some(&id), "address", &addresses);
            }
            if let Some(key) = key {
                items.set("acl", Some(&id), "key", &[key]);
            }
            items.set("acl", Some(&id), "action", &[action.to_owned()]);
            named.push(id);
        }
        let askers = askers.map(|askers| {
            let id = self::id("q", &[format!("{askers:?}").as_bytes()]);
            items.set("mod-queryacl", Some(&id), "address", &askers);
            format!("mod-queryacl/{id}")
        });
        let is_file = matches!(zone.source, ZoneRecords::File { .. });
        let mut template = |name, values: &[String]| items.set("template", Some(&id), name, values);
        let folder = if is_file { place.zones() } else { place.data() };
        template("storage", &[folder.display().to_string()]);
        if !masters.is_empty() {
            template("master", &masters);
        }
        if !notify.is_empty() {
            template("notify", &notify);
        }
        template("acl", &named);
        if let Some(askers) = askers {
            template("module", &[askers]);
        }
        template("zonefile-sync", &[if is_file { "-1" } else { "0" }.to_owned()]);
        template("zonefile-load", &["whole".to_owned()]);
        template("journal-content", &["none".to_owned()]);
        if !is_file {
            template("zone-max-size", &[config.transfers.octets.to_string()]);
        }
        Ok(Self { id, items })
    }

    /// Adds what is not there yet.
    pub(super) fn add_to(self, items: &mut Items) {
        for item in self.items.0 {
            if !items.0.contains(&item) {
                items.0.push(item);
            }
        }
        debug_assert!(items.0.iter().any(|item| item.id.as_ref() == Some(&self.id)));
    }
}

/// A name for what is described by these parts.
fn id(kind: &str, parts: &[&[u8]]) -> String {
    let fingerprint = Fingerprint::of(parts).to_string();
    format!("{kind}{}", &fingerprint[..16])
}

/// The form of a zone.
pub(super) fn form(place: &Place, zone: &ZoneConfig) -> String {
    format!("template {}, file {}", Group::id(place, zone), zone_file_name(&zone.name))
}

/// The commands that give a zone its items; one that is there keeps answering meanwhile.
pub(super) fn set_zone(place: &Place, zone: &ZoneConfig) -> String {
    let (name, template) = (quoted(&zone.name), Group::id(place, zone));
    let file = zone_file_name(&zone.name);
    format!("conf-set zone[{name}].template \"{template}\"\nconf-set zone[{name}].file \"{file}\"\n")
}

/// The commands that take from zones what is not ours.
pub(super) fn unset_others(shown: &str) -> String {
    let mut commands = String::new();
    for line in shown.lines() {
        let item = line.strip_prefix("zone[").and_then(|rest| rest.split_once(" = ")?.0.rsplit_once("]."));
        if let Some((name, item)) = item.filter(|(_, item)| !["template", "file"].contains(item)) {
            let _ = writeln!(commands, "conf-unset zone[{}].{item}", name.replace('\\', "\\\\"));
        }
    }
    commands
}

/// The zones that `conf-read zone` shows, with their forms. An item that is not ours is part of the form, and so makes it
/// another one.
pub(super) fn zones(text: &str) -> BTreeMap<DomainName, String> {
    let mut zones: BTreeMap<DomainName, BTreeMap<&str, &str>> = BTreeMap::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(" = ") else { continue };
        if key == "zone.domain" {
            if let Ok(name) = value.parse() {
                zones.entry(name).or_default();
            }
        } else if let Some((name, item)) = key.strip_prefix("zone[").and_then(|rest| rest.rsplit_once("]."))
            && let Ok(name) = name.parse()
        {
            zones.entry(name).or_default().insert(item, value);
        }
    }
    let form = |items: BTreeMap<&str, &str>| {
        let mut form = format!(
            "template {}, file {}",
            items.get("template").unwrap_or(&"default"),
            items.get("file").unwrap_or(&"none")
        );
        for (item, value) in items.iter().filter(|(item, _)| !["template", "file"].contains(item)) {
            let _ = write!(form, ", {item} {value}");
        }
        form
    };
    zones.into_iter().map(|(name, items)| (name, form(items))).collect()
}

/// A zone's name in a command: knotc takes a backslash for itself.
pub(super) fn quoted(name: &DomainName) -> String {
    let text = name.to_string();
    let dot = if text == "." { "" } else { "." };
    format!("{}{dot}", text.replace('\\', "\\\\"))
}

fn key_id(key: &TsigKey) -> String {
    format!("{}.", key.name)
}

fn address(address: &SocketAddr) -> String {
    format!("{}@{}", address.ip(), address.port())
}
