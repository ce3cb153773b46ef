//! Layer 3: [`Peer`], the one composition of all the parts: the machine that a host drives.

mod config;
mod input;
mod message;
mod output;

pub use config::{ConfigError, Ensemble, Limits, Member, PeerConfig, Timing};
pub use input::{ClientRequest, Connect, Input, ReadLevel, Request, WatchRequest};
pub use message::Message;
pub use output::{Answer, CloseReason, Connected, LearnerLag, Output, PeerEvent, Reply, Role, Status};
