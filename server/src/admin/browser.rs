use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quorate::client::{Client, ClientError, ClientOptions};
use quorate::node::{Clock, Node, entropy};
use quorate::types::{ErrorCode, RequestPath, Time};
use serde_json::{Value, json};
use tokio::time::timeout;

/// How long a look at the tree may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// After how long without a look the session is closed.
const IDLE: Duration = Duration::from_secs(60);
/// How many names of children are shown.
const NAMES: usize = 500;
/// How many bytes of data are shown.
const BYTES: usize = 16 << 10;

/// Reads the tree as a client without any identity does: what not everybody may read it cannot show. It has a session while
/// somebody looks, and none otherwise.
pub(super) struct Browser {
    node: Node,
    clock: Arc<dyn Clock>,
    client: Mutex<Option<(Client, Time)>>,
}

/// Why there is nothing to show.
#[derive(Debug)]
pub(super) enum Unseen {
    /// No such node, or not for everybody.
    Refused(ErrorCode),
    /// There is no quorum.
    Unavailable(String),
}

impl Browser {
    pub(super) fn new(node: Node, clock: Arc<dyn Clock>) -> Self {
        Self { node, clock, client: Mutex::new(None) }
    }

    /// Closes the session when nobody has looked for a while.
    pub(super) fn rest(&self) {
        let mut held = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now().time;
        if held.as_ref().is_some_and(|(_, used)| now.since(*used) > IDLE) {
            *held = None;
        }
    }

    /// A node: stat, ACL, data, and the first of its children by name.
    pub(super) async fn node(&self, path: &str) -> Result<Value, Unseen> {
        let client = self.client()?;
        let seen = timeout(PATIENCE, look(&client, path)).await;
        match seen {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(ClientError::Refused(refusal))) if refusal.code != ErrorCode::SessionExpired => {
                Err(Unseen::Refused(refusal.code))
            }
            Ok(Err(error)) => {
                *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Err(Unseen::Unavailable(error.to_string()))
            }
            Err(_) => Err(Unseen::Unavailable("no answer in time; is there a quorum?".to_owned())),
        }
    }

    fn client(&self) -> Result<Client, Unseen> {
        let mut held = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now().time;
        if let Some((client, used)) = held.as_mut() {
            *used = now;
            return Ok(client.clone());
        }
        let failed = |error: &dyn std::fmt::Display| Unseen::Unavailable(error.to_string());
        let options = ClientOptions::new(entropy().map_err(|error| failed(&error))?);
        let (client, driver) =
            Client::new([&self.node], Arc::clone(&self.clock), options).map_err(|error| failed(&error))?;
        tokio::spawn(driver);
        *held = Some((client.clone(), now));
        Ok(client)
    }
}

async fn look(client: &Client, path: &str) -> Result<Value, ClientError> {
    let path = RequestPath::from(path);
    let found = client.get(path.clone()).await?;
    let (acl, stat) = match client.acl(path.clone()).await {
        Ok((acl, stat)) => (Some(acl), stat),
        Err(error) if error.is(ErrorCode::NoAuth) => (None, found.stat),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    let mut pages = client.child_pages(path.clone(), NAMES as u32);
    while names.len() < NAMES {
        match pages.next().await {
            Some(name) => names.push(name?.into_string()),
            None => break,
        }
    }
    names.sort_unstable();
    let acl = acl.map(|acl| {
        let entries = acl.entries().iter().map(|entry| {
            let letters = [(1, 'r'), (2, 'w'), (4, 'c'), (8, 'd'), (16, 'a')];
            let bits = entry.permissions.bits();
            let permissions: String =
                letters.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, letter)| letter).collect();
            json!({"scheme": &*entry.identity.scheme, "id": &*entry.identity.id, "permissions": permissions})
        });
        entries.collect::<Vec<_>>()
    });
    Ok(json!({
        "path": path.as_str(),
        "stat": {
            "czxid": hex(stat.czxid.as_u64()),
            "mzxid": hex(stat.mzxid.as_u64()),
            "pzxid": hex(stat.pzxid.as_u64()),
            "ctime": stat.ctime.as_millis(),
            "mtime": stat.mtime.as_millis(),
            "version": stat.version,
            "cversion": stat.cversion,
            "aversion": stat.aversion,
            "ephemeralOwner": hex(stat.ephemeral_owner.as_u64()),
            "dataLength": stat.data_length,
            "numChildren": stat.num_children,
        },
        "acl": acl,
        "data": found.data.as_deref().map(data),
        "children": names,
    }))
}

/// Text as text, anything else in hexadecimal; the beginning of what is long.
fn data(bytes: &[u8]) -> Value {
    let shown = bytes.get(..BYTES).unwrap_or(bytes);
    let cut = shown.len() < bytes.len();
    match std::str::from_utf8(shown) {
        Ok(text) => json!({"text": text, "cut": cut}),
        // A character may have been cut in two.
        Err(error) if cut && error.error_len().is_none() => {
            json!({"text": String::from_utf8_lossy(shown.get(..error.valid_up_to()).unwrap_or_default()), "cut": cut})
        }
        Err(_) => {
            let shown = shown.get(..1024).unwrap_or(shown);
            let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"hex": hex, "cut": shown.len() < bytes.len()})
        }
    }
}

pub(super) fn hex(number: u64) -> String {
    format!("0x{number:x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_shown_as_text_where_it_is_text_and_long_data_is_cut_between_characters() {
        assert_eq!(data("grün".as_bytes()), json!({"text": "grün", "cut": false}));
        assert_eq!(data(&[0xff, 0x00, 0x10]), json!({"hex": "ff0010", "cut": false}));
        let long = "ü".repeat(BYTES);
        let shown = data(format!("x{long}").as_bytes());
        assert_eq!(shown["cut"], true);
        let text = shown["text"].as_str().unwrap();
        assert!(text.starts_with('x') && text.ends_with('ü') && text.len() == BYTES - 1, "{}", text.len());
        assert_eq!(data(&vec![0xff; BYTES * 2])["hex"].as_str().unwrap().len(), 2048);
    }
}
