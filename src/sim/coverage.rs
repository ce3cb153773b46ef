use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! points {
    ($($point:ident = $what:literal,)*) => {
        /// Something that happens sometimes, and that a simulation which never sees it does not test. (Antithesis and
        /// FoundationDB: "sometimes" assertions; SCN-66.)
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        pub enum Point {
            $(#[doc = $what] $point,)*
        }

        impl Point {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            /// What it is, in words.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$point => $what,)*
                }
            }
        }
    };
}

points! {
    SyncDiff = "a learner is brought level by DIFF",
    SyncTruncate = "a learner is brought level by TRUNC",
    SyncSnapshot = "a learner is brought level by SNAP",
    RolledBack = "a server removes entries that its leader does not have",
    LinkReset = "a link between a leader and a learner is reset",
    LogReadForLearner = "a leader reads its log from the disk for a learner",
    SnapshotResumed = "a piece of a snapshot is sent that is not its first",
    PromiseStanding = "a learner follows a leader of an epoch that it had promised to another bid",
    PromiseNewer = "a learner has promised a newer epoch than its leader's",
    JoinSuspect = "a server that may have lost what it acknowledged joins a leader",
    NotLeading = "a learner asks a server that does not lead",
    ManyProposed = "a message proposes more than one transaction",
    SnapshotSaved = "a server saves a snapshot of its own",
    SnapshotNotSaved = "a snapshot is given up",
    RecoveredSnapshot = "a server starts from a snapshot",
    RecoveredTail = "a server recovers more than its storage had confirmed",
    RecoveredSuspect = "a server finds that its disk may have lost what was acknowledged",
    StorageFailed = "a server stops because its disk fails",
    ObserverServes = "an observer answers clients",
    LeaderStepsDown = "a leader that served does not any more, and lives",
    SessionResumed = "a session is taken up again",
    SessionMoved = "a session is taken up by another connection while it has one",
    SessionExpires = "a session's time runs out",
    ClosedNotServing = "a client is sent away because there is no quorum",
    ClosedBehind = "a client is sent away because it has seen more than the server",
    ClosedByClient = "a client ends its session",
    RepeatedWrite = "a write is sent again and answered as the first time",
    EphemeralsEnd = "a session ends and takes ephemerals along",
    ContainerReaped = "an empty container is removed",
    TtlReaped = "a node whose time is over is removed",
    TreeDeleted = "a whole subtree is deleted",
    MultiExecuted = "a multi of several operations is executed",
    MultiRefused = "a multi fails behind its first operation",
    WatchCreated = "a watch tells that a node was created",
    WatchDeleted = "a watch tells that a node was deleted",
    WatchDataChanged = "a watch tells that data was changed",
    WatchChildrenChanged = "a watch tells that children were changed",
    WatchMissed = "a restored watch tells what was missed",
    WatchCompacted = "a watch cannot be resumed: too much was forgotten",
    WatchResumed = "a client asks for what a watch of its has missed",
    RefusedNoNode = "a request is refused: no node",
    RefusedNodeExists = "a request is refused: node exists",
    RefusedBadVersion = "a request is refused: bad version",
    RefusedNotEmpty = "a request is refused: not empty",
    RefusedNoAuth = "a request is refused: no auth",
    RefusedEphemeralParent = "a request is refused: no children for ephemerals",
    RefusedInvalidAcl = "a request is refused: invalid ACL",
    RefusedBadArguments = "a request is refused: bad arguments",
    RefusedQuota = "a request is refused: quota exceeded",
    RefusedThrottled = "a request is refused: throttled",
    ReadLinearizable = "a linearizable read is answered",
    ReadLocal = "a local read is answered",
}

impl Point {
    /// Whether it is so rare that a run of some hundred seeds may miss it.
    #[must_use]
    pub const fn is_rare(self) -> bool {
        matches!(self, Self::PromiseNewer)
    }
}

/// How often each [`Point`] was reached in a world. A clone is another handle.
#[derive(Clone)]
pub(super) struct Coverage {
    hits: Arc<[AtomicU64]>,
}

impl Coverage {
    pub(super) fn new() -> Self {
        Self { hits: Point::ALL.iter().map(|_| AtomicU64::new(0)).collect() }
    }

    /// This happens.
    pub(super) fn sometimes(&self, point: Point) {
        if let Some(hits) = self.hits.get(point as usize) {
            hits.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every point, and how often it was reached.
    pub(super) fn hits(&self) -> Vec<(Point, u64)> {
        let hits = self.hits.iter().map(|hits| hits.load(Ordering::Relaxed));
        Point::ALL.iter().copied().zip(hits).collect()
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}
