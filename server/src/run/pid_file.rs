use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::Failure;

const NAME: &str = "quorate.pid";

/// The file that says which process serves a data directory. It is locked as long as the process lives, so that a
/// number that was left behind by a crash is not taken for a process.
#[derive(Debug)]
pub struct PidFile {
    file: File,
}

impl PidFile {
    /// Writes this process into the file of `data_dir`, which is created if it is not there.
    ///
    /// # Errors
    ///
    /// When another process serves the directory, or it cannot be written.
    pub fn hold(data_dir: &Path) -> Result<Self, Failure> {
        let failed = |source| Failure::DataDirectory { dir: data_dir.to_owned(), source };
        std::fs::create_dir_all(data_dir).map_err(failed)?;
        let mut file = open(data_dir, true).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = content(&mut file).unwrap_or_default();
                return Err(Failure::Running { pid, dir: data_dir.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for PidFile {
    /// Empties the file and leaves it there: whoever has just opened it must find the lock on the same file.
    fn drop(&mut self) {
        if let Err(error) = self.file.set_len(0) {
            tracing::debug!("{NAME} could not be emptied: {error}");
        }
    }
}

/// The process that serves `data_dir`, if there is one.
///
/// # Errors
///
/// When the file cannot be read.
pub fn running(data_dir: &Path) -> io::Result<Option<u32>> {
    let mut file = match open(data_dir, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(content(&mut file)?.parse().ok()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Where the number of the process that serves `data_dir` is written.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(NAME)
}

fn open(data_dir: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(create).create(create).truncate(false).open(path(data_dir))
}

fn content(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}
