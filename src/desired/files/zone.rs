//! `zones/<account>/<zone>.yaml`: one zone.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::{Field, take_option};
use super::values::ServerAddress;
use crate::desired::model::{PrimaryZone, Upstream, Zone, ZoneSource};
use crate::finding::Finding;
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
    pub primaries: Option<Vec<PrimaryFile>>,
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

/// A server that a zone is transferred from.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrimaryFile {
    /// Address, with a port if it is not 53.
    pub address: Field<ServerAddress>,
    /// The TSIG key (RFC 8945) that the server wants: the name of a secret.
    pub tsig_key: Option<Field<SecretName>>,
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
        let Self { kind, serial_offset, primaries } = self;
        let offset = take_option(serial_offset.as_ref(), path, findings);
        let upstreams: Option<Vec<Option<Upstream>>> = primaries
            .as_ref()
            .map(|primaries| primaries.iter().map(|primary| primary.convert(path, findings)).collect());
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
                let upstreams = upstreams.unwrap_or_default();
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
        Some(Zone { name: name.clone(), account: account.clone(), source })
    }
}

impl PrimaryFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<Upstream> {
        let Self { address, tsig_key } = self;
        let address = address.take(path, findings);
        let tsig_key = take_option(tsig_key.as_ref(), path, findings);
        Some(Upstream { address: address?.0, tsig_key: tsig_key? })
    }
}
