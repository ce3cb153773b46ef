use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate::storage::fs::{FileSystem, OsFileSystem};
use quorate::storage::{FileStorage, FileStorageOptions, StorageError};

use super::Failure;
use super::split::SplitFileSystem;
use crate::config::{Directories, Plan};

/// Opens the storage of a server in its directory, or in its two.
pub(super) fn open(plan: &Plan) -> Result<FileStorage, Failure> {
    let fs = file_system(&plan.directories)?;
    if plan.may_start_new {
        format(Arc::clone(&fs), &plan.storage)?;
    }
    Ok(FileStorage::open_on(fs, plan.storage.clone())?)
}

fn file_system(directories: &Directories) -> Result<Arc<dyn FileSystem>, Failure> {
    let directory = |dir: &Path| {
        OsFileSystem::new(dir).map_err(|source| Failure::DataDirectory { dir: dir.to_owned(), source })
    };
    let Some(log) = &directories.log else {
        return Ok(Arc::new(directory(&directories.snapshots)?));
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
    Ok(Arc::new(SplitFileSystem::new(directory(&directories.snapshots)?, directory(log)?)))
}

fn format(fs: Arc<dyn FileSystem>, options: &FileStorageOptions) -> Result<(), StorageError> {
    match FileStorage::format_on(fs, options) {
        // It has data, and goes on with them.
        Err(StorageError::NotEmpty(_)) => Ok(()),
        formatted => formatted,
    }
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
