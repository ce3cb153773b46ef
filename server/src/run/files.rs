use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate::storage::fs::OsFileSystem;
use quorate::storage::{FileStorage, FileStorageOptions};

use super::Failure;
use super::split::SplitFileSystem;
use crate::config::Directories;

/// Opens the storage of a server in its directory, or in its two.
pub(super) fn open(directories: &Directories, options: FileStorageOptions) -> Result<FileStorage, Failure> {
    let Some(log) = &directories.log else {
        return Ok(FileStorage::open(&directories.snapshots, options)?);
    };
    let moved = directories.snapshots.join("control");
    if moved.exists() {
        let what = std::io::Error::other(format!(
            "there is a log in {} from before dataLogDir was set: with the server stopped, move control and all log-* files \
             to {}",
            directories.snapshots.display(),
            log.display()
        ));
        return Err(Failure::DataDirectory { dir: directories.data.clone(), source: what });
    }
    let directory = |dir: &Path| {
        OsFileSystem::new(dir).map_err(|source| Failure::DataDirectory { dir: dir.to_owned(), source })
    };
    let split = SplitFileSystem::new(directory(&directories.snapshots)?, directory(log)?);
    Ok(FileStorage::open_on(Arc::new(split), options)?)
}

/// Removes the operator's word that a server without data may vote: it was for one start.
pub(super) fn forget_initialize(data_dir: &Path) -> Result<(), Failure> {
    let word: PathBuf = data_dir.join("initialize");
    match std::fs::remove_file(&word) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Failure::DataDirectory { dir: data_dir.to_owned(), source }),
    }
}
