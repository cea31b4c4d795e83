//! `shoestring mrt`: the archives of routes that routing daemons write, for people.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::archive::{COMPRESSED, Heard, Kind, Summary, Utc, WRITTEN, entries, open, summarise};
use crate::config::LocalConfig;

/// Look into the archives of routes that routing daemons have heard
///
/// A node writes them where its file has `mrt`, with every routing daemon but the embedded one. Tables hold what `import` in
/// the peers' files accepts; updates, which GoBGP does not write, what the peers said. They are MRT (RFC 6396), compressed
/// with gzip.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(List),
    Summary(SummaryArgs),
}

/// List the files, the oldest first
#[derive(clap::Args)]
struct List {
    /// A folder of archives, in place of this machine's
    folder: Option<PathBuf>,
    /// The agent's local configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/shoestring/config.yaml")]
    config: PathBuf,
}

/// Say what is in a file, whoever has written it
///
/// Counts of tables (TABLE_DUMP_V2) and of updates (BGP4MP), by peer and by origin. Times are UTC. A file that is cut off is
/// an error that says where.
#[derive(clap::Args)]
struct SummaryArgs {
    /// A file of MRT, compressed with gzip or not
    file: PathBuf,
    /// How many of the ASes that originate most are shown
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    origins: usize,
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    match args.command {
        Command::List(List { folder, config }) => {
            let folders = match folder {
                Some(folder) => vec![folder],
                None => LocalConfig::read(&config)?.routing_daemons().archives(),
            };
            list(&folders)?;
        }
        Command::Summary(SummaryArgs { file, origins }) => {
            let failed = |why: String| format!("{}: {why}", file.display());
            let reader = open(&file).map_err(|error| failed(error.to_string()))?;
            let summary = summarise(reader).map_err(|error| failed(error.to_string()))?;
            print!("{}", text(&summary, origins));
        }
    }
    Ok(0)
}

fn list(folders: &[PathBuf]) -> Result<(), String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut table = table(&["file", "of", "octets", "age"]);
    let mut count = 0;
    for folder in folders {
        let files = entries(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for file in
            files.iter().filter(|file| file.name.ends_with(WRITTEN) || file.name.ends_with(COMPRESSED))
        {
            let path = folder.join(&file.name).display().to_string();
            let of = match Kind::of(&file.name) {
                Kind::Tables => "tables",
                Kind::Updates => "updates",
            };
            let age = age(now.saturating_sub(file.modified));
            table.add_row([path, of.to_owned(), file.length.to_string(), age]);
            count += 1;
        }
    }
    if count == 0 {
        let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        println!("no archives in {}", looked.join(", "));
    } else {
        println!("{table}");
    }
    Ok(())
}

fn table(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(titles.iter().enumerate().map(|(at, title)| match at {
        0 => Cell::new(title),
        _ => Cell::new(title).set_alignment(CellAlignment::Right),
    }));
    table
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7200 => format!("{} m", seconds / 60),
        seconds if seconds < 172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// A summary in words.
fn text(summary: &Summary, origins: usize) -> String {
    let mut lines = Vec::new();
    for (kind, records) in &summary.records {
        lines.push(format!("{records:>9} records of {kind}"));
    }
    if summary.passed_over > 0 {
        lines.push(format!("{:>9} records of other kinds, passed over", summary.passed_over));
    }
    if let Some(first) = &summary.first_broken {
        lines.push(format!("{:>9} records that are broken, passed over, the first: {first}", summary.broken));
    }
    if let Some((first, last)) = summary.span {
        let [from, to] = [first, last].map(|time| Utc::of(time.into()));
        lines.push(format!("from {from} to {to}: {} s", last - first));
    }
    let [v4, v6] = summary.prefixes;
    if v4 + v6 > 0 {
        lines.push(format!("{v4} prefixes of IPv4 and {v6} of IPv6 in tables"));
    }
    for ((address, asn), heard) in &summary.peers {
        lines.push(format!("peer {address} AS{asn}: {}", words(heard)));
    }
    for (asn, routes) in summary.top_origins(origins) {
        lines.push(format!("origin AS{asn}: {routes}"));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// What was heard from a peer, without what was not.
fn words(heard: &Heard) -> String {
    let Heard { routes, updates, announced: [v4, v6], withdrawn: [gone_v4, gone_v6], states } = heard;
    let counts = [
        (*routes, "routes"),
        (*updates, "updates"),
        (*v4, "announced of IPv4"),
        (*v6, "announced of IPv6"),
        (*gone_v4, "withdrawn of IPv4"),
        (*gone_v6, "withdrawn of IPv6"),
        (states.established, "sessions established"),
        (states.lost, "sessions lost"),
    ];
    let said = counts.into_iter().filter(|(count, _)| *count > 0);
    let said: Vec<String> = said.map(|(count, name)| format!("{count} {name}")).collect();
    if said.is_empty() { "nothing".to_owned() } else { said.join(", ") }
}
