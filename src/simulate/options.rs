//! Options: what the command line asks of a run.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;

use super::scenario::ScenarioName;
use crate::dns::NameServerKind;
use crate::routing::RoutingDaemonKind;

/// What the command line asks of a run.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Options {
    /// The desired state: a folder, or a repository whose history is to be used
    #[arg(value_name = "DIR", default_value = "desired-state")]
    pub(crate) dir: PathBuf,
    /// How many nodes: fewer than there are, or more, which are made up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(crate) nodes: Option<u16>,
    /// The name server of every node, or `mix` for each kind in turn, instead of what the nodes' files select
    #[arg(long, value_name = "KIND")]
    pub(crate) name_server: Option<NameServers>,
    /// The routing daemon of every node, or `mix` for each kind in turn, instead of what the nodes' files select
    #[arg(long, value_name = "KIND")]
    pub(crate) routing_daemon: Option<RoutingKinds>,
    /// What the nodes' providers and peers run
    #[arg(long, value_name = "KIND", default_value = "embedded")]
    pub(crate) providers: Providers,
    /// Queries a second in scenarios that count what is lost; 200 unless given
    #[arg(long, value_name = "QPS", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) rate: Option<u32>,
    /// Only this scenario; can be given more than once
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Vec<ScenarioName>,
    /// Keep the network running until Ctrl-C, with a status address; no scenario unless one is named
    #[arg(long)]
    pub(crate) hold: bool,
    /// Write everything that was measured to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// Which name servers the nodes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum NameServers {
    /// In this binary
    Embedded,
    /// ISC BIND 9
    Bind,
    /// NLnet Labs NSD
    Nsd,
    /// CZ.NIC Knot DNS
    Knot,
    /// PowerDNS Authoritative Server
    Powerdns,
    /// Each of them in turn
    Mix,
}

impl NameServers {
    /// That of the node with this number.
    pub(crate) fn of(self, number: usize) -> NameServerKind {
        const ALL: [NameServerKind; 5] = [
            NameServerKind::Embedded,
            NameServerKind::Bind,
            NameServerKind::Nsd,
            NameServerKind::Knot,
            NameServerKind::Powerdns,
        ];
        match self {
            Self::Embedded => NameServerKind::Embedded,
            Self::Bind => NameServerKind::Bind,
            Self::Nsd => NameServerKind::Nsd,
            Self::Knot => NameServerKind::Knot,
            Self::Powerdns => NameServerKind::Powerdns,
            Self::Mix => ALL[number % ALL.len()],
        }
    }
}

/// What the nodes' providers and peers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Providers {
    /// The speaker in this binary
    Embedded,
    /// BIRD 2
    Bird,
}

/// Which routing daemons the nodes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RoutingKinds {
    /// In this binary
    Embedded,
    /// BIRD 2
    Bird,
    /// FRRouting
    Frr,
    /// GoBGP
    Gobgp,
    /// OpenBGPD
    Openbgpd,
    /// Each of them in turn
    Mix,
}

impl RoutingKinds {
    /// That of the node with this number.
    pub(crate) fn of(self, number: usize) -> RoutingDaemonKind {
        const ALL: [RoutingDaemonKind; 5] = [
            RoutingDaemonKind::Embedded,
            RoutingDaemonKind::Bird,
            RoutingDaemonKind::Frr,
            RoutingDaemonKind::Gobgp,
            RoutingDaemonKind::Openbgpd,
        ];
        match self {
            Self::Embedded => RoutingDaemonKind::Embedded,
            Self::Bird => RoutingDaemonKind::Bird,
            Self::Frr => RoutingDaemonKind::Frr,
            Self::Gobgp => RoutingDaemonKind::Gobgp,
            Self::Openbgpd => RoutingDaemonKind::Openbgpd,
            Self::Mix => ALL[number % ALL.len()],
        }
    }
}

impl Options {
    /// As arguments again, for the inner process.
    pub(crate) fn to_args(&self) -> Vec<OsString> {
        let Self { dir, nodes, name_server, routing_daemon, providers, rate, scenario, hold, report } = self;
        let mut args = Vec::new();
        if let Some(nodes) = nodes {
            args.extend(["--nodes".into(), nodes.to_string().into()]);
        }
        if let Some(kind) = name_server.and_then(|kind| kind.to_possible_value()) {
            args.extend(["--name-server".into(), kind.get_name().into()]);
        }
        if let Some(kind) = routing_daemon.and_then(|kind| kind.to_possible_value()) {
            args.extend(["--routing-daemon".into(), kind.get_name().into()]);
        }
        if let Some(kind) = providers.to_possible_value() {
            args.extend(["--providers".into(), kind.get_name().into()]);
        }
        if let Some(rate) = rate {
            args.extend(["--rate".into(), rate.to_string().into()]);
        }
        for name in scenario {
            args.extend(["--scenario".into(), name.to_string().into()]);
        }
        if *hold {
            args.push("--hold".into());
        }
        if let Some(file) = report {
            args.extend(["--report".into(), file.into()]);
        }
        args.extend(["--".into(), dir.into()]);
        args
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn options_survive_the_way_to_the_inner_process() {
        let line = [
            "x",
            "--nodes",
            "5",
            "--name-server",
            "mix",
            "--routing-daemon",
            "bird",
            "--providers",
            "bird",
            "--rate",
            "2000",
            "--scenario",
            "git-down",
            "--scenario",
            "push",
            "--report",
            "r",
            "--",
            "-d",
        ];
        let options = Line::try_parse_from(line).map(|line| line.options).unwrap();
        assert_eq!(options.scenario, [ScenarioName::GitDown, ScenarioName::Push]);
        let again = Line::try_parse_from(std::iter::once("x".into()).chain(options.to_args())).unwrap();
        assert_eq!(again.options, options);
    }
}
