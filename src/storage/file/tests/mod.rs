mod support;

mod conformance;
mod flips;
mod properties;
mod scenarios_disk;
mod scenarios_sync;
mod sweep;
