//! Lists that must not nest.
//!
//! A multi holds operations and no further multi, but the types could be nested without end, and so could bytes from a
//! hostile peer or a damaged file: a decoder that follows them would overflow its stack. [`flat`] refuses the second level.

use std::cell::Cell;

use serde::de::{Deserialize, Deserializer, Error as _};

thread_local! {
    /// Whether a list is being decoded on this thread. A decoder has no other place to keep what surrounds a record.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

struct Inside;

impl Inside {
    fn enter() -> Option<Self> {
        (!INSIDE.replace(true)).then_some(Self)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

/// Decodes a list, unless one is being decoded already.
pub(super) fn flat<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let _inside = Inside::enter().ok_or_else(|| D::Error::custom("a list of operations inside another"))?;
    Vec::deserialize(deserializer)
}
