//! Model checking: every behaviour of the production machines within stated bounds, not a sample of them.

mod election;
mod intern;
mod replica;
mod search;
mod voter;
mod zab;

pub use election::ElectionBounds;
pub use replica::ZabFlaw;
pub use search::{ModelReport, ModelViolation};
pub use voter::ElectionFlaw;
pub use zab::ZabBounds;
