//! The crate `zookeeper-client`.

pub mod nodes;
pub mod sessions;
pub mod watches;

use zookeeper_client::{Acls, Client, CreateMode, CreateOptions};

use crate::ensemble::SESSION;
use crate::outcome::Outcome;

/// A client of these servers; a path behind them becomes its root.
pub async fn connect(hosts: &str) -> Outcome<Client> {
    Ok(Client::connector().with_session_timeout(SESSION).connect(hosts).await?)
}

/// A node of this kind that anyone may do anything with.
pub fn open(mode: CreateMode) -> CreateOptions<'static> {
    mode.with_acls(Acls::anyone_all())
}

pub fn persistent() -> CreateOptions<'static> {
    open(CreateMode::Persistent)
}
