use std::fs;
use std::io;
use std::path::Path;

use quorate::node::entropy;

use super::Failure;
use crate::config::{Found, Plan, Properties, Warning, ZooCfg};

/// A configuration with all that the disk says to it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file.
    pub cfg: ZooCfg,
    /// What it comes to.
    pub plan: Plan,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
}

/// Reads a configuration file, the file of `server.` lines where there is one, and `myid`.
///
/// # Errors
///
/// When a file cannot be read or the configuration is refused.
pub fn load(file: &Path) -> Result<Loaded, Failure> {
    let properties = properties(file)?;
    let dynamic = ZooCfg::dynamic_file(&properties).map(|file| self::properties(&file)).transpose()?;
    let (cfg, mut warnings) = ZooCfg::read(&file.display().to_string(), &properties, dynamic.as_ref())?;
    let my_id = cfg.data_dir.join("myid");
    let found = Found {
        my_id: optional(&my_id)?.map(Properties::decode),
        initialize: cfg.data_dir.join("initialize").exists(),
    };
    let seed = entropy().map_err(|source| Failure::Machine { what: "entropy", source })?;
    let plan = Plan::new(&cfg, &found, seed)?;
    warnings.extend(plan.warnings.iter().cloned());
    Ok(Loaded { cfg, plan, warnings })
}

fn properties(file: &Path) -> Result<Properties, Failure> {
    let bytes = read(file)?;
    Ok(Properties::parse(&file.display().to_string(), &Properties::decode(bytes)))
}

/// All of a file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|source| Failure::Unreadable { file: file.to_owned(), source })
}

fn optional(file: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Failure::Unreadable { file: file.to_owned(), source }),
    }
}
