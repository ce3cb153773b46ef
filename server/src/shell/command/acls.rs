use super::{Call, nodes};
use crate::shell::acl_text;
use crate::shell::client::{Fault, KeeperCode};
use crate::shell::error::{CommandError, plain};
use crate::shell::output::{print_acl, print_stat};

pub(super) fn get(call: &mut Call<'_>) -> Result<(), CommandError> {
    let found = call.client.acl(call.arg(0))?;
    print_acl(call.out, &found.acl)?;
    if call.given.has("s") {
        print_stat(call.out, &found.stat, call.zone)?;
    }
    Ok(())
}

/// With -R every node below as well; one that refuses is named, and the others go on.
pub(super) fn set(call: &mut Call<'_>) -> Result<(), CommandError> {
    let (acl, wrong) = acl_text::parse(call.arg(1));
    for complaint in wrong {
        writeln!(call.err, "{complaint}")?;
    }
    let version = call.number("v", -1)?;
    let path = call.arg(0).to_owned();
    if call.given.has("R") {
        if acl.entries().is_empty() {
            return Err(CommandError::Refused { code: KeeperCode::INVALID_ACL, path: None });
        }
        return nodes::visit(call, &path, false, |call, path| {
            match call.client.set_acl(path, acl.clone(), version) {
                Ok(_) => Ok(()),
                Err(Fault::Refused { code, path }) => {
                    Ok(writeln!(call.out, "{}", plain(code, path.as_deref()))?)
                }
                Err(fault) => Err(fault.into()),
            }
        });
    }
    let stat = call.client.set_acl(&path, acl, version)?;
    if call.given.has("s") {
        print_stat(call.out, &stat, call.zone)?;
    }
    Ok(())
}
