use std::sync::Arc;

use bytes::Bytes;
use quorate::node::Delivery;
use quorate::peer::{Answer, CloseReason, Connected, Reply, Request};
use quorate::protocol::words::WordSet;
use quorate::protocol::{ClientConnection, ConnectionEvent, ConnectionOptions};
use quorate::types::{
    Acl, ClientId, Found, Identity, Password, Read, SessionId, Stat, Time, WallTime, Write, Written,
    ZnodePath, Zxid,
};

/// Hosts a connection, for a node that agrees to everything.
pub(crate) struct Host {
    pub(crate) connection: ClientConnection,
    pub(crate) asked: Vec<ConnectionEvent>,
    pub(crate) sent: Vec<u8>,
    pub(crate) had_session: bool,
}

impl Host {
    pub(crate) fn new() -> Self {
        let options = ConnectionOptions {
            outstanding: 4,
            extended_types: true,
            words: WordSet::ALL,
            super_digest: Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".into()),
            ..ConnectionOptions::default()
        };
        let identities = vec![Identity::new("ip", "127.0.0.1")];
        Self {
            connection: ClientConnection::new(Arc::new(options), identities),
            asked: Vec::new(),
            sent: Vec::new(),
            had_session: false,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.connection.handle_bytes(Time::ZERO, bytes);
        loop {
            self.carry_out();
            let output = std::mem::take(self.connection.output());
            if output.is_empty() {
                return;
            }
            self.sent.extend_from_slice(&output);
            self.connection.handle_sent(Time::ZERO);
        }
    }

    fn carry_out(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            self.asked.push(event.clone());
            match event {
                ConnectionEvent::Word(word) => self.connection.handle_text(word.as_str()),
                ConnectionEvent::Attach(attach) => {
                    self.had_session = true;
                    self.deliver(Delivery::Connected(Connected {
                        client: ClientId::new(1),
                        session: attach.resume.map_or(SessionId::from_u64(1), |(session, _)| session),
                        password: Password::new([7; 16]),
                        timeout_millis: attach.timeout_millis,
                        resumed: false,
                    }));
                }
                ConnectionEvent::Request { tag, request } => {
                    let result = Ok(agree(&request));
                    let (client, zxid) = (ClientId::new(1), Zxid::from_u64(tag));
                    self.deliver(Delivery::Reply(Reply { client, tag, zxid, result }));
                    if request == Request::CloseSession {
                        self.deliver(Delivery::Closed(CloseReason::ClosedByClient));
                    }
                }
                _ => unreachable!("an event that this host does not know"),
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        self.connection.handle_delivery(Time::ZERO, delivery);
    }
}

fn agree(request: &Request) -> Answer {
    match request {
        Request::Write { write, .. } => Answer::Written(written(write)),
        Request::Read { read, .. } => Answer::Found(found(read)),
        Request::WhoAmI => Answer::Identities(vec![Identity::new("digest", "ann:hash")]),
        _ => Answer::Done,
    }
}

fn written(write: &Write) -> Written {
    match write {
        Write::Create { path, .. } => {
            Written::Created { path: path.parse().unwrap_or_else(|_| ZnodePath::root()), stat: stat() }
        }
        Write::SetData { .. } => Written::DataSet(stat()),
        Write::SetAcl { .. } => Written::AclSet(stat()),
        Write::Check { .. } => Written::Checked,
        Write::Multi(writes) => Written::Multi(writes.iter().map(written).collect()),
        _ => Written::Deleted,
    }
}

fn found(read: &Read) -> Found {
    match read {
        Read::Exists { .. } => Found::Stat(stat()),
        Read::Children { .. } => Found::Children { names: vec!["a".into()], stat: stat() },
        Read::Acl { .. } => Found::Acl { acl: Acl::open(), stat: stat() },
        Read::Ephemerals { .. } => Found::Ephemerals(vec![ZnodePath::root()]),
        Read::CountDescendants { .. } => Found::Count(u64::MAX),
        Read::Many(reads) => Found::Many(reads.iter().map(|read| Ok(found(read))).collect()),
        _ => Found::Data { data: Some(Bytes::from_static(b"data")), stat: stat() },
    }
}

fn stat() -> Stat {
    Stat {
        czxid: Zxid::ZERO,
        mzxid: Zxid::ZERO,
        pzxid: Zxid::ZERO,
        ctime: WallTime::from_millis(0),
        mtime: WallTime::from_millis(0),
        version: 0,
        cversion: 0,
        aversion: 0,
        ephemeral_owner: SessionId::NONE,
        data_length: 0,
        num_children: 0,
    }
}
