use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The bytes of the files in a directory, without those in directories below.
pub(crate) fn size(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let files = entries.filter_map(Result::ok).filter_map(|entry| entry.metadata().ok());
    files.filter(fs::Metadata::is_file).map(|file| file.len()).sum()
}

/// The newest snapshot in a directory: the zxid in its name, and when it was written, in seconds since 1970.
pub(super) fn last_snapshot(dir: &Path) -> Option<(u64, u64)> {
    let entries = fs::read_dir(dir).ok()?;
    let snapshots = entries.filter_map(Result::ok).filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let zxid = u64::from_str_radix(name.strip_prefix("snapshot-")?, 16).ok()?;
        let written = entry.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some((zxid, written.as_secs()))
    });
    snapshots.max()
}

/// How many files, sockets among them, this process has open; none where the system does not say.
pub(super) fn open_files() -> Option<u64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

/// How many it may have open.
pub(super) fn most_open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}
