//! `zones/<account>/<zone>.yaml`: one zone.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::field::{Field, Value, take_option};
use super::values::ServerAddress;
use crate::desired::model::{Client, PrimaryZone, Server, Zone, ZoneSource};
use crate::finding::{Finding, Position};
use crate::names::{AccountName, DomainName, SecretName, Serial};

/// One zone. The folder names the account, the file the zone; a primary zone's records stand beside it in
/// `<zone>.zone`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    title = "zones/<account>/<zone>.yaml",
    extend("if" = { "properties": { "kind": { "const": "primary" } } }),
    extend("then" = { "properties": { "primaries": false } }),
    extend("else" = { "required": ["primaries"], "properties": { "serial_offset": false } })
)]
pub struct ZoneFile {
    /// Whether we are the zone's primary, or secondary to others.
    pub kind: Field<ZoneKind>,
    /// Of a primary zone: added to the serial, which otherwise counts the network's revisions. For a zone that
    /// comes from elsewhere with a higher serial. A zone that is signed already, or has a ZONEMD record, keeps the
    /// serial of its file, and this counts for nothing.
    pub serial_offset: Option<Field<u32>>,
    /// Of a secondary zone: the servers that it is transferred from, in order of preference.
    pub primaries: Option<Vec<ServerFile>>,
    /// Who may transfer the zone from the hubs (RFC 5936, 1995), besides our own nodes: nobody, unless said here.
    pub transfer_to: Option<Vec<ClientFile>>,
    /// The servers that the hubs tell of a new serial (RFC 1996), besides our own nodes.
    pub notify: Option<Vec<ServerFile>>,
}

/// Where a zone's records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ZoneKind {
    /// From the zone file beside this file.
    Primary,
    /// By transfer from its primaries.
    Secondary,
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
    pub(crate) path: String,
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
        let Self { kind, serial_offset, primaries, transfer_to, notify } = self;
        let offset = take_option(serial_offset.as_ref(), path, findings);
        let mut servers = |files: &Option<Vec<ServerFile>>| -> Vec<Option<Server>> {
            files.iter().flatten().map(|file| file.convert(path, findings)).collect()
        };
        let (upstreams, notify) = (servers(primaries), servers(notify));
        let clients = transfer_to.iter().flatten().map(|client| client.convert(kind.at(), path, findings));
        let transfer_to: Vec<Option<Client>> = clients.collect();
        let source = match kind.take(path, findings)? {
            ZoneKind::Primary => {
                if primaries.is_some() {
                    findings.push(
                        Finding::new(path, kind.at(), "a primary zone has no primaries of its own")
                            .with_hint("remove `primaries`, or write `kind: secondary`"),
                    );
                    return None;
                }
                let Records { path, text, changed } = records?;
                ZoneSource::Primary(PrimaryZone {
                    path,
                    text,
                    serial: Serial(changed.wrapping_add(offset?.unwrap_or(0))),
                })
            }
            ZoneKind::Secondary => {
                if let Some(offset) = serial_offset {
                    findings.push(
                        Finding::new(path, offset.at(), "a secondary zone has the serial of its primaries")
                            .with_hint("remove `serial_offset`"),
                    );
                }
                if upstreams.is_empty() {
                    findings.push(
                        Finding::new(path, kind.at(), "a secondary zone needs at least one primary")
                            .with_hint("add `primaries:` with `- address: 192.0.2.1` below it"),
                    );
                    return None;
                }
                ZoneSource::Secondary(upstreams.into_iter().collect::<Option<_>>()?)
            }
        };
        Some(Zone {
            name: name.clone(),
            account: account.clone(),
            source,
            transfer_to: transfer_to.into_iter().collect::<Option<_>>()?,
            notify: notify.into_iter().collect::<Option<_>>()?,
        })
    }
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
