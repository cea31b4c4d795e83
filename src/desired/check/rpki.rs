//! The announced prefixes against the RPKI. What it says depends on the day, not on the revision, so it is for people
//! alone: no node refuses a revision for it.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::desired::files::{NetworkFile, yaml};
use crate::finding::{Finding, Position};
use crate::names::Asn;
use crate::rpki::{Validity, Verdict, Vrp};
use crate::tree::Tree;

const PATH: &str = "network.yaml";

/// What the network announces, and where its file says so.
pub(crate) struct Announced {
    asn: Asn,
    prefixes: Vec<(IpNet, Position)>,
}

/// What the RPKI says about it.
#[derive(Default)]
pub(crate) struct Preflight {
    /// By prefix, in the order of the file.
    pub(crate) verdicts: Vec<Verdict>,
    /// One for each prefix that many networks would drop.
    pub(crate) findings: Vec<Finding>,
    /// What works and should be better.
    pub(crate) warnings: Vec<Finding>,
}

impl Announced {
    /// `None` unless the file gives an AS number and a prefix: `check` has findings about it then.
    pub(crate) fn of(tree: &Tree) -> Option<Self> {
        let network: NetworkFile = yaml::parse(PATH, &tree.files.get(PATH)?.bytes).ok()?;
        let asn = *network.asn.get()?;
        let prefixes = network.prefixes.iter().filter_map(|field| field.located());
        let prefixes: Vec<_> = prefixes.map(|(prefix, at)| (prefix.trunc(), at)).collect();
        (!prefixes.is_empty()).then_some(Self { asn, prefixes })
    }

    /// The prefixes by themselves.
    pub(crate) fn prefixes(&self) -> Vec<IpNet> {
        self.prefixes.iter().map(|(prefix, _)| *prefix).collect()
    }

    /// Every prefix against the VRPs that cover one of them.
    pub(crate) fn judge(&self, vrps: &BTreeSet<Vrp>) -> Preflight {
        let mut preflight = Preflight::default();
        let announced = self.prefixes();
        let mut loose = BTreeSet::new();
        for (prefix, at) in &self.prefixes {
            let finding = |message, hint: &str| Finding::new(PATH, *at, message).with_hint(hint);
            let verdict = Verdict::of(*prefix, self.asn, vrps);
            match verdict.validity {
                Validity::Valid => {}
                Validity::Invalid => preflight.findings.push(finding(
                    format!(
                        "{prefix} from AS{} is RPKI-invalid: {}",
                        self.asn,
                        verdict.mismatches().collect::<Vec<_>>().join("; ")
                    ),
                    &format!("sign a ROA for {prefix} and AS{}; many networks drop it until then", self.asn),
                )),
                Validity::NotFound => preflight.warnings.push(finding(
                    format!("{prefix} is in no ROA: anybody can announce it"),
                    &format!(
                        "sign a ROA for {prefix} and AS{} with maxLength {}",
                        self.asn,
                        prefix.prefix_len()
                    ),
                )),
            }
            for vrp in verdict.permitting().filter(|vrp| vrp.is_loose(&announced)) {
                if loose.insert(*vrp) {
                    preflight.warnings.push(finding(
                        format!("{vrp} permits more than is announced: others can forge the rest (RFC 9319)"),
                        "sign ROAs for exactly the prefixes that are announced, without a longer maxLength",
                    ));
                }
            }
            preflight.verdicts.push(verdict);
        }
        preflight
    }
}
