use quorate::{Acl, AclEntry, Identity, Permissions};

/// Reads an ACL as zkCli does: `scheme:id:perms[,…]`. What is wrong is left out and named in the second part.
pub(super) fn parse(text: &str) -> (Acl, Vec<String>) {
    let mut wrong = Vec::new();
    let mut entries = Vec::new();
    // An identity may hold colons (`digest:user:hash`): the scheme ends at the first, the permissions begin behind the last.
    for part in text.split(',') {
        match part
            .split_once(':')
            .and_then(|(scheme, rest)| rest.rsplit_once(':').map(|(id, perms)| (scheme, id, perms)))
        {
            Some((scheme, id, perms)) => {
                let permissions = permissions(perms, &mut wrong);
                entries.push(AclEntry { permissions, identity: Identity::new(scheme, id) });
            }
            None => wrong.push(format!("{part} does not have the form scheme:id:perm")),
        }
    }
    (Acl::new(entries), wrong)
}

fn permissions(letters: &str, wrong: &mut Vec<String>) -> Permissions {
    let mut permissions = Permissions::NONE;
    for letter in letters.chars() {
        permissions |= match letter {
            'r' => Permissions::READ,
            'w' => Permissions::WRITE,
            'c' => Permissions::CREATE,
            'd' => Permissions::DELETE,
            'a' => Permissions::ADMIN,
            other => {
                wrong.push(format!("Unknown perm type: {other}"));
                Permissions::NONE
            }
        };
    }
    permissions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(permissions: Permissions, scheme: &str, id: &str) -> AclEntry {
        AclEntry { permissions, identity: Identity::new(scheme, id) }
    }

    #[test]
    fn acls_are_read_as_zkcli_reads_them() {
        for (text, entries, wrong) in [
            ("world:anyone:r", vec![entry(Permissions::READ, "world", "anyone")], vec![]),
            (
                "world:anyone:cdrwa,digest:u:p:wr",
                vec![
                    entry(Permissions::ALL, "world", "anyone"),
                    entry(Permissions::READ | Permissions::WRITE, "digest", "u:p"),
                ],
                vec![],
            ),
            ("auth::cdrwa", vec![entry(Permissions::ALL, "auth", "")], vec![]),
            ("world:anyone:", vec![entry(Permissions::NONE, "world", "anyone")], vec![]),
            (
                "world:anyone:z",
                vec![entry(Permissions::NONE, "world", "anyone")],
                vec!["Unknown perm type: z"],
            ),
            ("bad", vec![], vec!["bad does not have the form scheme:id:perm"]),
            ("ip:1", vec![], vec!["ip:1 does not have the form scheme:id:perm"]),
        ] {
            let (acl, complaints) = parse(text);
            assert_eq!(
                (acl.entries(), complaints),
                (&*entries, wrong.into_iter().map(str::to_owned).collect()),
                "{text}"
            );
        }
    }
}
