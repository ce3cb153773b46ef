use crate::peer::{Input, Output, Status};
use crate::types::Now;

/// Looks on while a [`Node`](super::Node) drives its peer: for simulators, invariant checkers and recorders. It changes
/// nothing, and is called from the node's own future: whatever time it takes, the server takes.
pub trait Observer: Send + Sync {
    /// The peer is about to be told this.
    fn input(&self, now: Now, input: &Input);

    /// The peer asked for this, and it is about to be carried out.
    fn output(&self, now: Now, output: &Output);

    /// All that the peer asked for has been carried out or begun, and this is how it is doing.
    fn turn(&self, now: Now, status: &Status);
}
