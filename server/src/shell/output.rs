use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use quorate::{Acl, Stat, WallTime};

/// Prints a stat as zkCli does, its dates in this time zone.
pub(super) fn print_stat(out: &mut dyn Write, stat: &Stat, zone: &TimeZone) -> io::Result<()> {
    writeln!(out, "cZxid = {:#x}", stat.czxid.as_u64())?;
    writeln!(out, "ctime = {}", date(stat.ctime, zone))?;
    writeln!(out, "mZxid = {:#x}", stat.mzxid.as_u64())?;
    writeln!(out, "mtime = {}", date(stat.mtime, zone))?;
    writeln!(out, "pZxid = {:#x}", stat.pzxid.as_u64())?;
    writeln!(out, "cversion = {}", stat.cversion)?;
    writeln!(out, "dataVersion = {}", stat.version)?;
    writeln!(out, "aclVersion = {}", stat.aversion)?;
    writeln!(out, "ephemeralOwner = {:#x}", stat.ephemeral_owner.as_u64())?;
    writeln!(out, "dataLength = {}", stat.data_length)?;
    writeln!(out, "numChildren = {}", stat.num_children)
}

/// Prints an ACL as zkCli does, two lines an entry.
pub(super) fn print_acl(out: &mut dyn Write, acl: &Acl) -> io::Result<()> {
    for entry in acl.entries() {
        let identity = &entry.identity;
        writeln!(out, "'{},'{}\n: {:?}", identity.scheme, identity.id, entry.permissions)?;
    }
    Ok(())
}

/// Prints a list as zkCli does: `[a, b]`.
pub(super) fn print_list(out: &mut dyn Write, items: impl IntoIterator<Item: AsRef<str>>) -> io::Result<()> {
    write!(out, "[")?;
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            write!(out, ", ")?;
        }
        write!(out, "{}", item.as_ref())?;
    }
    writeln!(out, "]")
}

/// Prints data as zkCli does: as text, what is no UTF-8 replaced, and `null` where there is none.
pub(super) fn print_data(out: &mut dyn Write, data: Option<&[u8]>) -> io::Result<()> {
    match data {
        Some(data) => writeln!(out, "{}", String::from_utf8_lossy(data)),
        None => writeln!(out, "null"),
    }
}

/// `Sat Nov 21 18:34:23 UTC 2026`: how Java writes a date. What is no date is shown as its milliseconds.
fn date(time: WallTime, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond(time.as_millis()) {
        Ok(time) => time.to_zoned(zone.clone()).strftime("%a %b %d %H:%M:%S %Z %Y").to_string(),
        Err(_) => time.as_millis().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use quorate::{AclEntry, Identity, Permissions, SessionId, Zxid};

    use super::*;

    fn printed(print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_stat_is_printed_as_zkcli_prints_it() {
        let stat = Stat {
            czxid: Zxid::from_u64(0x678),
            mzxid: Zxid::from_u64(0x688),
            pzxid: Zxid::from_u64(0x683),
            ctime: WallTime::from_millis(1_795_286_063_000),
            mtime: WallTime::from_millis(1_795_286_063_999),
            version: 2,
            cversion: 8,
            aversion: -1,
            ephemeral_owner: SessionId::from_u64(0x1000_04c8_45a0_001d),
            data_length: 2,
            num_children: 8,
        };
        // What zkCli.sh 3.8.0 printed for such a node.
        assert_eq!(
            printed(|out| print_stat(out, &stat, &TimeZone::UTC)),
            "cZxid = 0x678\nctime = Sat Nov 21 18:34:23 UTC 2026\nmZxid = 0x688\n\
             mtime = Sat Nov 21 18:34:23 UTC 2026\npZxid = 0x683\ncversion = 8\ndataVersion = 2\naclVersion = -1\n\
             ephemeralOwner = 0x100004c845a0001d\ndataLength = 2\nnumChildren = 8\n"
        );
    }

    #[test]
    fn dates_are_those_of_java() {
        let at = |millis, zone: &TimeZone| date(WallTime::from_millis(millis), zone);
        assert_eq!(at(0, &TimeZone::UTC), "Thu Jan 01 00:00:00 UTC 1970");
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(at(1_700_000_000_000, &berlin), "Tue Nov 14 23:13:20 CET 2023");
        assert_eq!(at(1_720_000_000_000, &berlin), "Wed Jul 03 11:46:40 CEST 2024");
        assert_eq!(at(i64::MAX, &TimeZone::UTC), i64::MAX.to_string());
    }

    #[test]
    fn lists_acls_and_data_are_printed_as_zkcli_prints_them() {
        assert_eq!(printed(|out| print_list(out, [""; 0])), "[]\n");
        assert_eq!(printed(|out| print_list(out, ["a", "b"])), "[a, b]\n");
        let acl = Acl::new([
            AclEntry { permissions: Permissions::ALL, identity: Identity::anyone() },
            AclEntry { permissions: Permissions::READ, identity: Identity::new("digest", "u:p") },
        ]);
        assert_eq!(printed(|out| print_acl(out, &acl)), "'world,'anyone\n: cdrwa\n'digest,'u:p\n: r\n");
        assert_eq!(printed(|out| print_data(out, Some(b""))), "\n");
        assert_eq!(printed(|out| print_data(out, None)), "null\n");
        assert_eq!(printed(|out| print_data(out, Some(&[b'a', 0xff]))), "a\u{fffd}\n");
    }
}
