//! What a `zoo.cfg` says, read and judged without touching the world: text in, [`Plan`] or a list of what is wrong out.
//!
//! Text becomes [`Properties`], these a [`ZooCfg`], and that, with what is in the data directory, a [`Plan`]. A
//! value that cannot be is refused with its line, what is wrong, and what to write. A key that is not known, or that does nothing
//! here, is accepted with a [`Warning`] that says so; but one that asks for protection which quorate does not have is
//! refused.

mod ensemble;
mod keys;
mod plan;
mod problem;
mod properties;
mod server_line;
mod settings;
mod zoo_cfg;

#[cfg(test)]
mod tests;

pub use plan::{Directories, Found, PeerPlan, Plan, PlannedSecurity};
pub use problem::{Problem, Refused, Warning};
pub use properties::{Entry, Place, Properties};
pub use server_line::{ClientAddress, HostPort, ServerLine};
pub use zoo_cfg::{
    ClientAuth, Clients, EnsembleServer, KeyFiles, Listen, PeerSecurity, SecureListen, StorageSettings,
    ZooCfg,
};
