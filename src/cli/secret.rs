//! `shoestring secret`: TSIG keys, passwords of BGP sessions and the secret of DNS cookies, encrypted in the
//! repository. A value is read from standard input or a terminal, and written to standard output by `show` alone: never
//! taken from arguments or the environment, where others could see it.

use clap::Subcommand;

use crate::keyring::SecretKind;

mod folder;
mod keys;
mod prompt;
mod rm;
mod rotate;
mod set;
mod show;
mod value;
mod who;

/// Keep TSIG keys, BGP passwords and the DNS cookie secret encrypted in the repository
///
/// Each stands in secrets/NAME.age, encrypted to the nodes that need it (by `age_recipient` in their files) and to the
/// operators, who are those that trust.yaml lets change it (by their ssh-ed25519 keys, or their `age_recipients`). These
/// commands change files only; commit and push as for any other change. `age -d -i KEY secrets/NAME.age` decrypts, too.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Set(set::Args),
    Show(show::Args),
    Rotate(rotate::Args),
    Rm(rm::Args),
    Who(who::Args),
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    super::run::never_dump();
    match args.command {
        Command::Set(args) => set::run(args),
        Command::Show(args) => show::run(args),
        Command::Rotate(args) => rotate::run(args),
        Command::Rm(args) => rm::run(&args),
        Command::Who(args) => who::run(&args),
    }
}

/// What a secret is for.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// A TSIG key, for transfers of zones
    Tsig,
    /// The password of BGP sessions (TCP MD5)
    Password,
    /// What DNS cookies are made with
    Cookie,
}

impl From<Kind> for SecretKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Tsig => Self::Tsig,
            Kind::Password => Self::Password,
            Kind::Cookie => Self::Cookie,
        }
    }
}
