//! (room to be furnished)

pub mod disk;
