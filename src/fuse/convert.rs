//! Values of [`crate::fs`] in the shapes of the FUSE crate.

use std::time::{Duration, SystemTime};

use fuser::{Errno, FileAttr, FileType, INodeNo};

use crate::fs::{Attr, BLOCK_SIZE, Error};
use crate::layer::{Kind, Time};

/// What a name that does not exist leads to: an entry without an inode. Unlike an error, the
/// kernel remembers it.
pub(super) const ABSENT: FileAttr = FileAttr {
    ino: INodeNo(0),
    size: 0,
    blocks: 0,
    atime: SystemTime::UNIX_EPOCH,
    mtime: SystemTime::UNIX_EPOCH,
    ctime: SystemTime::UNIX_EPOCH,
    crtime: SystemTime::UNIX_EPOCH,
    kind: FileType::RegularFile,
    perm: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    blksize: 0,
    flags: 0,
};

pub(super) fn file_attr(attr: &Attr) -> FileAttr {
    let time = system_time(attr.mtime);
    FileAttr {
        ino: INodeNo(attr.ino.0),
        size: attr.size,
        blocks: attr.blocks,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: file_type(attr.kind),
        perm: attr.mode,
        nlink: attr.links,
        uid: attr.uid,
        gid: attr.gid,
        rdev: device_number(attr.device),
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}

pub(super) fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        // A hard link never comes out of a tree: it is a name of a node of another kind.
        Kind::File | Kind::HardLink => FileType::RegularFile,
        Kind::Symlink => FileType::Symlink,
        Kind::CharDevice => FileType::CharDevice,
        Kind::BlockDevice => FileType::BlockDevice,
        Kind::Fifo => FileType::NamedPipe,
    }
}

pub(super) fn errno(error: &Error) -> Errno {
    Errno::from_i32(error.errno().raw_os_error())
}

/// Before the epoch: the seconds are rounded down and the nanoseconds count forward. A time that
/// the system cannot hold becomes the epoch.
fn system_time(time: Time) -> SystemTime {
    let seconds = Duration::from_secs(time.seconds.unsigned_abs());
    let whole = match time.seconds {
        0.. => SystemTime::UNIX_EPOCH.checked_add(seconds),
        _ => SystemTime::UNIX_EPOCH.checked_sub(seconds),
    };
    let nanos = Duration::from_nanos(u64::from(time.nanos));
    whole.and_then(|whole| whole.checked_add(nanos)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The protocol's 32 bits: 12 of the major number between the two parts of 20 of the minor one.
fn device_number((major, minor): (u32, u32)) -> u32 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_on_both_sides_of_the_epoch() {
        let at = |seconds, nanos| system_time(Time { seconds, nanos });
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(at(0, 0), epoch);
        assert_eq!(at(1, 500), epoch + Duration::new(1, 500));
        // -1.5 s is two seconds before plus half a second.
        assert_eq!(at(-2, 500_000_000), epoch - Duration::from_millis(1500));
        assert_eq!(at(i64::MIN, 0), epoch - Duration::from_secs(1 << 63));
        assert!(at(i64::MAX, 999_999_999) > epoch);
    }

    #[test]
    fn device_numbers_as_the_kernel_packs_them() {
        assert_eq!(device_number((1, 3)), 0x103);
        assert_eq!(device_number((0xfff, 0xf_ffff)), 0xffff_ffff);
        assert_eq!(device_number((8, 0x12345)), 0x1230_0845);
    }
}
