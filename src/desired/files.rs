//! The files of the desired state: which there are, and their YAML shapes.
//!
//! A shape is not a domain type. Each leaf of a shape is a [`Field`]: its text is parsed where it stands and keeps
//! its line and column, so one pass finds every wrong value of a file, and a check that compares files can still
//! point at the very value. A shape becomes its domain type (`model`) by exhaustive destructuring: a new key that
//! nobody handles does not compile.
//!
//! The path says the kind and the name of a file (`layout`); no file repeats them.

mod field;
pub(crate) mod layout;
mod network;
mod node;
mod peer;
mod values;
pub(crate) mod yaml;
mod zone;

pub use field::{Field, Value};
pub use network::{DrainFile, HealthFile, MeshFile, NetworkFile, RateLimitFile, RolloutFile, TransfersFile};
pub use node::{CostFile, GeoFile, InterfaceFile, MrtFile, NodeFile, NodeMeshFile, PlaceFile};
pub use peer::{BfdFile, PeerFile, SessionFile};
pub(crate) use values::is_deceptive;
pub use values::{
    Cents, CountryCode, CurrencyCode, Date, Degrees, Flag, InterfaceName, Period, ServerAddress, Text,
};
pub(crate) use zone::Records;
pub use zone::{ClientFile, MembersFile, Network, ServerFile, ZoneFile, ZoneKind};
