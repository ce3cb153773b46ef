use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::Options;
use crate::run::Failure;

/// Writes a `zoo.cfg` and a `myid` for each server below `dir`; gives the former.
pub(super) fn write(options: &Options, dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |source| Failure::DataDirectory { dir: dir.to_owned(), source };
    let mut files = Vec::new();
    for number in 0..options.servers {
        let home = dir.join(format!("server-{}", number + 1));
        let data = home.join("data");
        fs::create_dir_all(&data).map_err(failed)?;
        fs::write(data.join("myid"), format!("{}\n", number + 1)).map_err(failed)?;
        let file = home.join("zoo.cfg");
        fs::write(&file, text(options, number, &data)).map_err(failed)?;
        files.push(file);
    }
    Ok(files)
}

fn text(options: &Options, number: u16, data: &Path) -> String {
    let mut text = format!(
        "# Written by `quorate up`.\ntickTime=500\ninitLimit=10\nsyncLimit=5\nminSessionTimeout=1000\nmaxSessionTimeout=60000\n\
         dataDir={}\nclientPortAddress=127.0.0.1\nclientPort={}\nmaxClientCnxns=0\n4lw.commands.whitelist=*\nextendedTypesEnabled=true\n\
         admin.serverPort={}\n",
        data.display().to_string().replace('\\', "\\\\"),
        options.port + number,
        options.admin_port + number,
    );
    if options.servers > 1 {
        for other in 0..options.servers {
            let (quorum, election) = (options.port + 700 + other, options.port + 1_700 + other);
            let client = options.port + other;
            // Writing to a string does not fail.
            let _ = writeln!(text, "server.{}=127.0.0.1:{quorum}:{election};127.0.0.1:{client}", other + 1);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Properties, ZooCfg};

    #[test]
    fn what_is_written_is_accepted_without_a_warning() {
        for servers in [1, 3] {
            let options = Options { servers, dir: None, port: 2181, admin_port: 8080 };
            for number in 0..servers {
                let text = text(&options, number, Path::new("/tmp/x/data"));
                let (cfg, warnings) =
                    ZooCfg::read("zoo.cfg", &Properties::parse("zoo.cfg", &text), None).unwrap();
                assert_eq!(warnings, Vec::new(), "{text}");
                assert_eq!(cfg.standalone, servers == 1);
            }
        }
    }
}
