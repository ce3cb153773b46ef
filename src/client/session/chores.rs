//! What a session asks for by itself: above all what a new connection begins with.

use super::super::ClientError;
use super::super::call::Start;
use super::super::subscription::Subscription;
use super::super::watch::OneShotKind;
use super::{Body, Session, Verdict};

use crate::peer::{Answer, Reply, Request, WatchRequest};
use crate::types::{Identity, RequestPath, WatchMode, WatchTarget};

/// How many bytes of paths one [`WatchRequest::Restore`] carries at most (ZOOKEEPER-706: a client that put all its
/// watches into one request was thrown out by the server, again and again).
const RESTORE_BYTES: usize = 128 << 10;

/// What the session asks for by itself.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Chore {
    Identity(Identity),
    Restore(WatchRequest),
    Resume(u64),
    Add(u64),
    Remove { path: RequestPath, mode: WatchMode },
    Ping,
}

impl Session {
    /// What the client knew of its last connection is to be told again, before anything else is asked.
    pub(super) fn begin_anew(&mut self) {
        self.chores.clear();
        self.chores.extend(self.identities.iter().cloned().map(Chore::Identity));
        self.restore_one_shots();
        let asked_by_call: Vec<u64> = self
            .calls
            .iter()
            .filter_map(|call| if let Body::Subscribe { id, .. } = call.body { Some(id) } else { None })
            .collect();
        self.chores.extend(
            self.subscriptions.keys().filter(|id| !asked_by_call.contains(id)).map(|id| Chore::Resume(*id)),
        );
        self.restoring = self.chores.len();
    }

    /// The request of a chore; none when it has become needless.
    pub(super) fn request_of_chore(&mut self, chore: &Chore) -> Option<Request> {
        Some(match chore {
            Chore::Identity(identity) => Request::AddIdentity(identity.clone()),
            Chore::Restore(restore) => Request::Watch(restore.clone()),
            Chore::Ping => Request::Ping,
            Chore::Resume(id) | Chore::Add(id) => {
                let Some(subscription) = self.subscriptions.get_mut(id) else {
                    // Its stream was dropped: one thing less to wait for.
                    let waited_for = usize::from(matches!(chore, Chore::Resume(_)));
                    self.restoring = self.restoring.saturating_sub(waited_for);
                    return None;
                };
                subscription.asked();
                let start = match chore {
                    Chore::Resume(_) => Start::After(subscription.since()),
                    _ => Start::Now,
                };
                Request::Watch(watch_request(subscription, start))
            }
            Chore::Remove { path, mode } => {
                if self.subscriptions.values().any(|other| other.path == *path && other.mode == *mode) {
                    return None;
                }
                let target = match mode {
                    WatchMode::Persistent => WatchTarget::Persistent,
                    WatchMode::PersistentRecursive => WatchTarget::PersistentRecursive,
                };
                Request::Watch(WatchRequest::Remove { path: path.clone(), target })
            }
        })
    }

    pub(super) fn chore_done(&mut self, chore: Chore, reply: &Reply) -> Verdict {
        let begins = matches!(chore, Chore::Identity(_) | Chore::Restore(_) | Chore::Resume(_));
        if begins {
            self.restoring = self.restoring.saturating_sub(1);
        }
        match (chore, &reply.result) {
            (Chore::Ping | Chore::Remove { .. } | Chore::Identity(_), _) | (Chore::Restore(_), Ok(_)) => {}
            (Chore::Restore(_), Err(refusal)) => self.one_shots.fail(&ClientError::Refused(*refusal)),
            (Chore::Resume(id) | Chore::Add(id), Err(_)) => {
                // The server does not take the watch back: the stream ends rather than fall silent.
                if let Some(subscription) = self.subscriptions.remove(&id) {
                    subscription.end();
                }
            }
            (Chore::Resume(id), Ok(Answer::Compacted { .. })) => self.chores.push_front(Chore::Add(id)),
            (Chore::Resume(id), Ok(_)) => self.subscription(id, |one| one.resumed(reply.zxid)),
            (Chore::Add(id), Ok(_)) => self.subscription(id, |one| one.restarted(reply.zxid)),
        }
        Verdict::Go
    }

    fn restore_one_shots(&mut self) {
        let mut paths: [Vec<RequestPath>; 3] = Default::default();
        let mut bytes = 0;
        let mut waiting = self.one_shots.waiting().into_iter().peekable();
        while let Some((kind, path)) = waiting.next() {
            bytes += path.as_str().len() + size_of::<RequestPath>();
            let [data, exist, child] = &mut paths;
            match kind {
                OneShotKind::Data => data.push(path),
                OneShotKind::Exist => exist.push(path),
                OneShotKind::Child => child.push(path),
            }
            let next = waiting.peek().map_or(RESTORE_BYTES, |(_, path)| path.as_str().len());
            if bytes + next >= RESTORE_BYTES {
                let [data, exist, child] = std::mem::take(&mut paths);
                self.chores.push_back(Chore::Restore(WatchRequest::Restore {
                    since: self.covered,
                    data,
                    exist,
                    child,
                    persistent: Vec::new(),
                    recursive: Vec::new(),
                }));
                bytes = 0;
            }
        }
    }
}

/// The request for a lasting watch.
pub(super) fn watch_request(subscription: &Subscription, start: Start) -> WatchRequest {
    let (path, mode) = (subscription.path.clone(), subscription.mode);
    match start {
        Start::Now => WatchRequest::Add { path, mode },
        Start::After(since) => WatchRequest::Resume { path, mode, since },
    }
}
