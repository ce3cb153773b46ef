mod support;

mod conformance;
mod flips;
mod format;
mod properties;
mod scenarios_disk;
mod scenarios_sync;
mod sweep;
mod threads;
