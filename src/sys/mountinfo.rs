//! The mount table of this process, /proc/self/mountinfo (proc_pid_mountinfo(5)).
//!
//! Reading it asks no file system anything, so it works beside mounts whose server is dead or
//! hangs. Paths are bytes: a mount point need not be UTF-8.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The number of this mount, as statx(2) reports it (`stx_mnt_id`).
    pub id: u64,
    /// Major and minor number of its device, as `stat` reports it.
    pub device: (u32, u32),
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// Type, with subtype: `fuse.shale`.
    pub fstype: String,
    /// What is mounted; for Shale the image's reference.
    pub source: String,
    /// Options of the mount, comma-separated.
    pub options: String,
    /// Options of the file system, comma-separated.
    pub super_options: String,
}

/// All mounts that this process sees, in the order of the table: of several on one place the last
/// one is on top.
pub fn mounts() -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read("/proc/self/mountinfo")?))
}

/// The topmost mount at exactly `mountpoint` (an absolute path without symlinks).
pub fn at(mountpoint: &Path) -> io::Result<Option<Mount>> {
    Ok(mounts()?.into_iter().rfind(|mount| mount.mountpoint == mountpoint))
}

/// The mount with this number.
pub fn by_id(id: u64) -> io::Result<Option<Mount>> {
    Ok(mounts()?.into_iter().find(|mount| mount.id == id))
}

/// Reads a table; lines that do not have the documented form are passed over.
pub fn parse(table: &[u8]) -> Vec<Mount> {
    table.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = text(fields.next()?).parse().ok()?;
    let device = text(fields.nth(1)?);
    let (major, minor) = device.split_once(':')?;
    let mountpoint = fields.nth(1)?;
    let options = text(fields.next()?);
    // Optional fields end at a single dash.
    fields.find(|field| *field == b"-")?;
    Some(Mount {
        id,
        device: (major.parse().ok()?, minor.parse().ok()?),
        mountpoint: PathBuf::from(OsString::from_vec(unescape(mountpoint))),
        options,
        fstype: text(fields.next()?),
        source: text(fields.next()?),
        super_options: text(fields.next().unwrap_or_default()),
    })
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(&unescape(field)).into_owned()
}

/// Space, tab, newline and backslash are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        match octal(rest) {
            Some(escaped) => {
                out.push(escaped);
                rest = rest.get(4..).unwrap_or_default();
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    out
}

fn octal(text: &[u8]) -> Option<u8> {
    let [b'\\', digits @ ..] = text.get(..4)? else { return None };
    // The parser below takes a sign for a digit.
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_optional_fields_and_escapes() {
        let table = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            40 22 0:41 / /mnt/a\\040b ro,nosuid,nodev shared:1 master:2 - fuse.shale \
            docker.io/library/x:1 ro,user_id=0\n\
            41 22 0:42 / /mnt/c\\134d rw - tmpfs\nnonsense\n\n";
        let mounts = parse(table);
        assert_eq!(mounts.len(), 2, "{mounts:?}");
        assert_eq!((mounts[0].id, mounts[0].device), (22, (254, 0)));
        assert_eq!(mounts[1].mountpoint, Path::new("/mnt/a b"));
        assert_eq!(mounts[1].fstype, "fuse.shale");
        assert_eq!(mounts[1].source, "docker.io/library/x:1");
        assert_eq!(mounts[1].super_options, "ro,user_id=0");
    }

    #[test]
    fn escapes_at_the_end_of_a_field() {
        assert_eq!(unescape(b"a\\134"), b"a\\");
        assert_eq!(unescape(b"a\\13"), b"a\\13");
        assert_eq!(unescape(b"\\400"), b"\\400");
        assert_eq!(unescape(b"\\+12"), b"\\+12");
    }

    #[test]
    fn the_real_table_has_a_root() {
        assert!(at(Path::new("/")).expect("mountinfo is readable").is_some());
    }
}
