mod cluster;
mod mission;
mod order;
mod sessions;
mod snapshots;
