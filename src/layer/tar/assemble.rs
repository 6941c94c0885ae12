//! One entry from its header and the extensions that stood before it.
//!
//! Precedence of names: GNU.sparse.name, PAX, GNU long name, header. Go lets a GNU long name win
//! over PAX; an entry with both that differ gets a warning. Of two PAX headers before one entry
//! the second counts alone, of two long names the last, as in Go.

use super::error::Fault;
use super::header::{Format, Header, text};
use super::path::{Cleaned, PATH_MAX, RawName, clean};
use super::pax::{Key, Records};
use super::sparse::{MapBuilder, MapReader, PaxSparse};
use super::{number, xattr};
use crate::layer::{ContentId, Entry, Kind, Time, WarningKind};
use crate::limits::Limits;

/// What stands before an entry and speaks of it.
#[derive(Debug, Default)]
pub struct Extensions {
    /// The last PAX header.
    pub records: Records,
    /// The last GNU long name; empty without one.
    pub name: Vec<u8>,
    /// The last GNU long link target; empty without one.
    pub link: Vec<u8>,
}

impl Extensions {
    /// Reads the data of an extension of this type.
    pub fn keep(&mut self, typeflag: u8, data: &[u8]) -> Result<(), Fault> {
        match typeflag {
            b'L' => text(data).clone_into(&mut self.name),
            b'K' => text(data).clone_into(&mut self.link),
            _ => self.records.parse(data)?,
        }
        if typeflag == b'g' {
            // Go hands a global header out as an entry of its own, which nobody applies; what
            // stood before it spoke of that one.
            self.clear();
        }
        Ok(())
    }

    /// Forgets everything: the entry it spoke of has passed.
    pub fn clear(&mut self) {
        self.records.clear();
        self.name.clear();
        self.link.clear();
    }

    /// The entry's name, before cleaning and without regard to sparse formats.
    pub fn name_of<'a>(&'a self, header: &Header<'a>) -> RawName<'a> {
        match self.records.value(Key::Path) {
            Some(path) => RawName::whole(path),
            None if !self.name.is_empty() => RawName::whole(&self.name),
            None => header.name,
        }
    }

    fn link_of<'a>(&'a self, header: &Header<'a>) -> &'a [u8] {
        match self.records.value(Key::Linkpath) {
            Some(link) => link,
            None if !self.link.is_empty() => &self.link,
            None => header.link(),
        }
    }

    fn names_disagree(&self) -> bool {
        let differ = |key, long: &[u8]| {
            !long.is_empty() && self.records.value(key).is_some_and(|path| path != long)
        };
        differ(Key::Path, &self.name) || differ(Key::Linkpath, &self.link)
    }
}

/// What an entry type means to the walker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It makes a node.
    Node(Kind),
    /// It is known and makes nothing: volume labels (V), multi-volume continuations (M) and the
    /// oldest form of long names (N).
    Nothing,
}

/// What an entry says of its size: a PAX record rules over the header.
pub fn size(header: &Header<'_>, extensions: &Extensions) -> Result<i64, Fault> {
    Ok(extensions.records.number(Key::Size, "size")?.unwrap_or(header.size))
}

/// The meaning of an entry type. Where old archives have no type for directories, a slash after the
/// name makes one; so it does for GNU tar whatever kind of file the type says. Go makes a file of
/// those, so one with data stays a file.
pub fn role(typeflag: u8, name: RawName<'_>, size: i64) -> Result<Role, Fault> {
    Ok(Role::Node(match typeflag {
        0 if name.ends_with_slash() => Kind::Directory,
        b'0' | b'7' if name.ends_with_slash() && size == 0 => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        b'V' | b'M' | b'N' => return Ok(Role::Nothing),
        unknown => return Err(Fault::UnknownType(unknown)),
    }))
}

/// Bytes of data after the header: what is no file has none whatever the size says.
pub fn data_size(size: i64, role: Role) -> Result<u64, Fault> {
    match role {
        Role::Node(Kind::File) | Role::Nothing => {
            u64::try_from(size).map_err(|_| Fault::Range { field: "size", value: size })
        }
        Role::Node(_) => Ok(0),
    }
}

/// How an entry's sparse map is found.
#[derive(Debug)]
pub enum Sparse {
    /// There is none.
    No,
    /// It is complete.
    Complete(MapBuilder),
    /// It goes on in the blocks that follow the header.
    Pending(Box<MapReader>),
}

/// Finds the sparse map of a node whose data has `stored` bytes.
pub fn sparse(
    header: &Header<'_>,
    extensions: &Extensions,
    kind: Kind,
    stored: u64,
) -> Result<Sparse, Fault> {
    if header.typeflag == b'S' {
        if header.format != Format::Gnu {
            return Err(Fault::Sparse("a GNU sparse file in an archive that is not GNU's"));
        }
        let size = number::numeric(&header.block[483..495]);
        let mut map = MapBuilder::new(size.ok_or(Fault::Number { field: "real size" })?)?;
        let more = map.read_header(header.block)?;
        return Ok(if more {
            Sparse::Pending(MapReader::gnu(map, stored))
        } else {
            Sparse::Complete(map)
        });
    }
    let records = &extensions.records;
    let Some(format) = PaxSparse::of(records) else { return Ok(Sparse::No) };
    if kind != Kind::File {
        return Err(Fault::Sparse("on something that is not a file"));
    }
    let key = [Key::SparseSize, Key::SparseRealSize];
    let key = key.into_iter().find(|key| records.value(*key).is_some());
    let size = match key {
        Some(key) => records.number(key, "GNU.sparse.size")?,
        None => i64::try_from(stored).ok(),
    };
    let mut map = MapBuilder::new(size.unwrap_or_default())?;
    Ok(match format {
        PaxSparse::InRecords => {
            map.read_records(records)?;
            Sparse::Complete(map)
        }
        PaxSparse::InData => Sparse::Pending(MapReader::pax(map, stored)),
    })
}

/// An entry without its data, and what was odd about it.
#[derive(Debug)]
pub struct Assembled {
    /// Size, data offset, sparse map and content are for the walker to fill in.
    pub entry: Entry,
    /// What to warn of; each at most once.
    pub warnings: Vec<WarningKind>,
}

/// Puts a node's entry together.
pub fn assemble(
    header: &Header<'_>,
    extensions: &Extensions,
    kind: Kind,
    is_sparse: bool,
    limits: &Limits,
) -> Result<Assembled, Fault> {
    let records = &extensions.records;
    let name = match records.value(Key::SparseName).filter(|_| is_sparse) {
        Some(name) if name.contains(&0) => return Err(Fault::NulInName),
        Some(name) => RawName::whole(name),
        None => extensions.name_of(header),
    };
    // Of a directory others make the place that everything is unpacked to.
    let (is_directory, is_nameless) = (kind == Kind::Directory, name.is_empty());
    let path = match is_nameless {
        true if is_directory => Cleaned { path: Vec::new(), clamped: false },
        true => return Err(Fault::EmptyName),
        false => clean(name)?,
    };
    let link = link(header, extensions, kind, &path.path)?;
    let xattrs = xattr::gather(records, limits)?;
    let device = match kind {
        Kind::CharDevice | Kind::BlockDevice => {
            (unsigned(header.device.0, "devmajor")?, unsigned(header.device.1, "devminor")?)
        }
        _ => (0, 0),
    };
    let mut warnings = Vec::new();
    for (is_so, warning) in [
        (path.clamped || link.clamped, WarningKind::ParentClamped),
        (extensions.names_disagree(), WarningKind::NamesDisagree),
        (xattrs.overlay, WarningKind::OverlayXattr),
        (xattrs.unreadable, WarningKind::UnreadableXattr),
        (is_directory && matches!(header.typeflag, b'0' | b'7'), WarningKind::FileWithSlash),
        (is_nameless, WarningKind::NamelessDirectory),
    ] {
        if is_so {
            warnings.push(warning);
        }
    }
    let entry = Entry {
        path: path.path,
        kind,
        mode: u16::try_from(header.mode & 0o7777).unwrap_or_default(),
        uid: unsigned(records.number(Key::Uid, "uid")?.unwrap_or(header.uid), "uid")?,
        gid: unsigned(records.number(Key::Gid, "gid")?.unwrap_or(header.gid), "gid")?,
        mtime: times(header, records)?,
        size: 0,
        link: link.path,
        device,
        xattrs: xattrs.list,
        data_offset: 0,
        sparse: None,
        content: ContentId([0; 32]),
    };
    Ok(Assembled { entry, warnings })
}

/// A link's text or target. A whiteout counts by its name alone, so one that leads nowhere may.
fn link(
    header: &Header<'_>,
    extensions: &Extensions,
    kind: Kind,
    path: &[u8],
) -> Result<Cleaned, Fault> {
    let nothing = Ok(Cleaned { path: Vec::new(), clamped: false });
    if !matches!(kind, Kind::Symlink | Kind::HardLink) {
        return nothing;
    }
    let link = extensions.link_of(header);
    if link.is_empty() {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        return if name.starts_with(b".wh.") { nothing } else { Err(Fault::EmptyLink) };
    }
    if kind == Kind::HardLink {
        return clean(RawName::whole(link));
    }
    if link.len() > PATH_MAX {
        return Err(Fault::LongLink { length: link.len() });
    }
    Ok(Cleaned { path: link.to_vec(), clamped: false })
}

/// The modification time. The other two are read only because Go refuses bad ones.
fn times(header: &Header<'_>, records: &Records) -> Result<Time, Fault> {
    let time = |key, field| {
        let Some(value) = records.value(key) else { return Ok(None) };
        number::time(value).map(Some).ok_or(Fault::Number { field })
    };
    time(Key::Atime, "atime")?;
    time(Key::Ctime, "ctime")?;
    let mtime = time(Key::Mtime, "mtime")?;
    Ok(mtime.unwrap_or(Time { seconds: header.mtime, nanos: 0 }))
}

fn unsigned(value: i64, field: &'static str) -> Result<u32, Fault> {
    u32::try_from(value).map_err(|_| Fault::Range { field, value })
}
