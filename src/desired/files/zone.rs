//! `zones/<account>/<zone>.yaml`: one zone.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::field::{Field, Value, take_all, take_option};
use super::values::ServerAddress;
use crate::catalog::RemovalPolicy;
use crate::desired::model::{Client, MemberPolicy, PrimaryZone, Server, Zone, ZoneSource};
use crate::finding::{Finding, Position};
use crate::names::{AccountName, DomainName, SecretName, Serial};

/// One zone. The folder names the account, the file the zone; a primary zone's records stand beside it in
/// `<zone>.zone`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    title = "zones/<account>/<zone>.yaml",
    extend("allOf" = [
        { "if": { "properties": { "kind": { "enum": ["secondary", "catalog"] } } },
          "then": { "required": ["primaries"] }, "else": { "properties": { "primaries": false } } },
        { "if": { "properties": { "kind": { "const": "primary" } } },
          "else": { "properties": { "serial_offset": false } } },
        { "if": { "properties": { "kind": { "const": "catalog" } } },
          "else": { "properties": { "members": false } } },
        { "if": { "properties": { "kind": { "const": "offered-catalog" } } },
          "then": { "required": ["transfer_to"] } }
    ])
)]
pub struct ZoneFile {
    /// Whether we are the zone's primary, or secondary to others; or whether it is a catalog of zones (RFC 9432).
    pub kind: Field<ZoneKind>,
    /// Of a primary zone: added to the serial, which otherwise counts the network's revisions. For a zone that
    /// comes from elsewhere with a higher serial. A zone that is signed already, or has a ZONEMD record, keeps the
    /// serial of its file, and this counts for nothing.
    pub serial_offset: Option<Field<u32>>,
    /// Of a secondary zone or a catalog: the servers that it is transferred from, in order of preference.
    pub primaries: Option<Vec<ServerFile>>,
    /// Of a catalog: what its members are to this account.
    pub members: Option<MembersFile>,
    /// Who may transfer the zone from the hubs (RFC 5936, 1995), besides our own nodes: nobody, unless said here. Who
    /// may transfer a catalog that we offer may transfer the zones that it lists, too.
    pub transfer_to: Option<Vec<ClientFile>>,
    /// The servers that the hubs tell of a new serial (RFC 1996), besides our own nodes. Those of a catalog that we
    /// offer are told of the zones that it lists, too.
    pub notify: Option<Vec<ServerFile>>,
}

/// What the members of a catalog are. Each is a secondary zone of the account, unless another file or catalog has it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MembersFile {
    /// The servers that they are transferred from; those of the catalog itself if left out.
    pub primaries: Option<Vec<ServerFile>>,
    /// How many are taken at most; 1000 if left out.
    pub limit: Option<Field<u32>>,
    /// Names that they have to be or to lie below; any, if left out.
    pub within: Option<Vec<Field<DomainName>>>,
    /// How many per cent of them a new version of the catalog may take away at once; 50 if left out, 100 for all. One that
    /// would take more, and more than ten, or the last of several, is held: the members from before stay.
    pub most_removed: Option<Field<u8>>,
    /// The serial of a version of the catalog that was held, and is meant: it may take any number away.
    pub confirmed: Option<Field<u32>>,
    /// Who may transfer them from the hubs, besides our own nodes.
    pub transfer_to: Option<Vec<ClientFile>>,
    /// The servers that the hubs tell of their new serials, besides our own nodes.
    pub notify: Option<Vec<ServerFile>>,
}

/// Where a zone's records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ZoneKind {
    /// From the zone file beside this file.
    Primary,
    /// By transfer from its primaries.
    Secondary,
    /// By transfer from its primaries, too; it is a catalog (RFC 9432), and the zones that it lists become zones of
    /// the account.
    Catalog,
    /// Made by the hubs: a catalog of the account's zones, for others to consume.
    OfferedCatalog,
}

/// Somebody else's server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerFile {
    /// Address, with a port if it is not 53.
    pub address: Field<ServerAddress>,
    /// The TSIG key (RFC 8945) that signs what we and the server say to each other: the name of a secret.
    pub tsig_key: Option<Field<SecretName>>,
}

/// Who may transfer a zone: whoever asks from the address, with the key, or both if both are given.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct ClientFile {
    /// The address that is asked from, or a prefix that it lies in.
    pub address: Option<Field<Network>>,
    /// The TSIG key (RFC 8945) that has to sign the request: the name of a secret.
    pub tsig_key: Option<Field<SecretName>>,
}

/// A network: a prefix, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(pub IpNet);

impl Value for Network {
    fn parse(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>());
        let network = network.map_err(|_| {
            format!(
                "{text:?} is no network: expected an address or a prefix, such as 192.0.2.1 or 2001:db8::/48"
            )
        })?;
        match network.trunc() == network {
            true => Ok(Self(network)),
            false => Err(format!("{network} has bits set past its length: expected {}", network.trunc())),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$" })
    }
}

/// The zone file of a primary zone, as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    /// Its path.
    pub(crate) path: Arc<str>,
    /// What is in it.
    pub(crate) text: Arc<str>,
    /// When it or the YAML file last changed, in first-parent commits.
    pub(crate) changed: u32,
}

impl ZoneFile {
    /// The domain type; every wrong value becomes a finding. `records` is `None` when there is no zone file that
    /// could be read.
    pub(crate) fn convert(
        &self,
        account: &AccountName,
        name: &DomainName,
        records: Option<Records>,
        path: &str,
        findings: &mut Vec<Finding>,
    ) -> Option<Zone> {
        let Self { kind, serial_offset, primaries, members, transfer_to, notify } = self;
        let offset = take_option(serial_offset.as_ref(), path, findings);
        let upstreams = servers(primaries.as_ref(), path, findings);
        let notify = servers(notify.as_ref(), path, findings);
        let transfer_to = clients(transfer_to.as_ref(), kind.at(), path, findings);
        let policy = members.as_ref().map(|members| members.convert(kind.at(), path, findings));
        let mut say = |at, message: &str, hint: &str| {
            findings.push(Finding::new(path, at, message).with_hint(hint));
        };
        let kind = match kind.located() {
            Some((kind, _)) => *kind,
            None => return kind.take(path, findings).and(None),
        };
        let noun = match kind {
            ZoneKind::Primary => "a primary zone",
            ZoneKind::Secondary => "a secondary zone",
            ZoneKind::Catalog => "a catalog",
            ZoneKind::OfferedCatalog => "a catalog that we offer",
        };
        let is_transferred = matches!(kind, ZoneKind::Secondary | ZoneKind::Catalog);
        if let (Some(offset), false) = (serial_offset, kind == ZoneKind::Primary) {
            say(
                offset.at(),
                "only a primary zone has a serial that is counted here",
                "remove `serial_offset`",
            );
        }
        if members.is_some() && kind != ZoneKind::Catalog {
            let hint = "remove `members`, or write `kind: catalog`";
            say(self.kind.at(), "only a catalog has members", hint);
        }
        match (is_transferred, primaries) {
            (false, Some(_)) => {
                let hint = "remove `primaries`, or write `kind: secondary`";
                say(self.kind.at(), &format!("{noun} has no primaries of its own"), hint);
                return None;
            }
            (true, _) if upstreams.as_ref().is_none_or(Vec::is_empty) => {
                if primaries.as_ref().is_none_or(Vec::is_empty) {
                    let hint = "add `primaries:` with `- address: 192.0.2.1` below it";
                    say(self.kind.at(), &format!("{noun} needs at least one primary"), hint);
                }
                return None;
            }
            _ => {}
        }
        let source = match kind {
            ZoneKind::Primary => {
                let Records { path, text, changed } = records?;
                ZoneSource::Primary(PrimaryZone {
                    path,
                    text,
                    serial: Serial(changed.wrapping_add(offset?.unwrap_or(0))),
                })
            }
            ZoneKind::Secondary => ZoneSource::Secondary(upstreams?),
            ZoneKind::Catalog => {
                let members = policy.unwrap_or_else(|| Some(MemberPolicy::default()))?;
                ZoneSource::Catalog(upstreams?, Box::new(members))
            }
            ZoneKind::OfferedCatalog => ZoneSource::OfferedCatalog,
        };
        Some(Zone {
            name: name.clone(),
            account: account.clone(),
            source,
            transfer_to: transfer_to?,
            notify: notify?,
        })
    }
}

impl MembersFile {
    /// `zone` is where the zone's file begins to speak of it.
    fn convert(&self, zone: Position, path: &str, findings: &mut Vec<Finding>) -> Option<MemberPolicy> {
        let Self { primaries, limit, within, most_removed, confirmed, transfer_to, notify } = self;
        let default = MemberPolicy::default();
        let primaries = servers(primaries.as_ref(), path, findings);
        let limit = take_option(limit.as_ref(), path, findings);
        let within = take_all(within.as_deref().unwrap_or_default(), path, findings);
        let most = take_option(most_removed.as_ref(), path, findings);
        let confirmed = take_option(confirmed.as_ref(), path, findings);
        let notify = servers(notify.as_ref(), path, findings);
        let transfer_to = clients(transfer_to.as_ref(), zone, path, findings);
        Some(MemberPolicy {
            primaries: primaries?,
            limit: limit?.map_or(default.limit, |limit| limit as usize),
            within: within?,
            removal: RemovalPolicy {
                most: most?.unwrap_or(default.removal.most),
                confirmed: confirmed?.map(Serial),
            },
            transfer_to: transfer_to?,
            notify: notify?,
        })
    }
}

/// All of a list of servers; none for a list that is left out.
fn servers(files: Option<&Vec<ServerFile>>, path: &str, findings: &mut Vec<Finding>) -> Option<Vec<Server>> {
    let servers: Vec<_> = files.into_iter().flatten().map(|file| file.convert(path, findings)).collect();
    servers.into_iter().collect()
}

/// All of a list of clients; none for a list that is left out.
fn clients(
    files: Option<&Vec<ClientFile>>,
    zone: Position,
    path: &str,
    findings: &mut Vec<Finding>,
) -> Option<Vec<Client>> {
    let clients: Vec<_> =
        files.into_iter().flatten().map(|file| file.convert(zone, path, findings)).collect();
    clients.into_iter().collect()
}

impl ServerFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<Server> {
        let Self { address, tsig_key } = self;
        let address = address.take(path, findings);
        let tsig_key = take_option(tsig_key.as_ref(), path, findings);
        Some(Server { address: address?.0, tsig_key: tsig_key? })
    }
}

impl ClientFile {
    /// `zone` is where the zone's file begins to speak of it.
    fn convert(&self, zone: Position, path: &str, findings: &mut Vec<Finding>) -> Option<Client> {
        let Self { address, tsig_key } = self;
        if address.is_none() && tsig_key.is_none() {
            let fault = "an entry of `transfer_to` has neither an address nor a key";
            let hint = "write `- address: 192.0.2.1`, `- tsig_key: name`, or both in one entry";
            findings.push(Finding::new(path, zone, fault).with_hint(hint));
            return None;
        }
        let network = take_option(address.as_ref(), path, findings);
        let tsig_key = take_option(tsig_key.as_ref(), path, findings);
        Some(Client { network: network?.map(|Network(network)| network), tsig_key: tsig_key? })
    }
}
