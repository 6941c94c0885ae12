//! The tree as its readers see it.

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::check::Body;
use super::format::{
    ALIAS, ExtentRow, FileRow, Header, IMPLIED, Row, SPARSE, Section, Sections, SparseRow, kind_of,
};
use crate::layer::{ContentId, Extent, Kind, Time};
use crate::oci::ChainId;
use crate::tree::{Attributes, Child, FileData, RowNo, TableError, Totals, Xattrs};

/// Where the sets of extended attributes begin: 0 stands for none, so nothing is there.
const XATTR_HEAD: u64 = 8;

/// How many bytes of extended attributes are looked at to find out of what kinds they are: a few
/// chunks to check, so that a mount does not wait for an image that has millions.
const LOOKED_AT: u64 = 256 << 10;

/// An image's whole tree: a mapped, immutable table. Reading it allocates nothing per entry,
/// never blocks on anything but the disk, and can be done from many threads at once.
#[derive(Debug)]
pub struct ImageTree {
    pub(super) chain: ChainId,
    pub(super) header: Header,
    pub(super) sections: Sections,
    pub(super) body: Body,
}

/// A directory's own part of its row, checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directory {
    pub parent: RowNo,
    pub first: u32,
    pub children: u32,
}

impl ImageTree {
    /// The root directory.
    pub const ROOT: RowNo = RowNo(0);

    /// The layers that the tree was made of, as its key.
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// How many rows there are.
    pub fn rows(&self) -> u32 {
        self.header.rows.get()
    }

    /// How many layers the tree was made of.
    pub fn layers(&self) -> u32 {
        self.header.layers.get()
    }

    /// Attributes of a row; `Ok(None)` when there is no such row, or it is not its node's first.
    pub fn attributes(&self, row: RowNo) -> Result<Option<Attributes>, TableError> {
        let Some(record) = self.row(row)?.filter(|record| record.flags & ALIAS == 0) else {
            return Ok(None);
        };
        let kind = self.kind(record)?;
        let nanos = record.nanos.get();
        if nanos >= 1_000_000_000 {
            return Err(self.damaged("a time is out of range"));
        }
        let value = record.value.get();
        let (mut size, mut stored, mut device) = (0, 0, (0, 0));
        match kind {
            Kind::File => {
                size = value;
                stored = self.sparse(row, record)?.map_or(value, |map| map.stored.get());
            }
            Kind::Symlink => size = value,
            Kind::CharDevice | Kind::BlockDevice => device = halves(value),
            Kind::Directory | Kind::Fifo | Kind::HardLink => {}
        }
        Ok(Some(Attributes {
            kind,
            mode: record.mode.get() & 0o7777,
            uid: record.uid.get(),
            gid: record.gid.get(),
            mtime: Time { seconds: record.seconds.get(), nanos },
            size,
            stored,
            links: record.links.get(),
            device,
        }))
    }

    /// The row that `name` leads to in directory `parent`; `Ok(None)` when known to be absent.
    pub fn lookup(&self, parent: RowNo, name: &[u8]) -> Result<Option<RowNo>, TableError> {
        Ok(self.find(parent, name)?.map(|child| child.row))
    }

    /// As [`ImageTree::lookup`], with the name's own row and the kind.
    pub fn find(&self, parent: RowNo, name: &[u8]) -> Result<Option<Child<'_>>, TableError> {
        let Some(directory) = self.directory(parent)? else { return Ok(None) };
        let (mut low, mut high) = (directory.first, directory.first + directory.children);
        while low < high {
            let middle = low + (high - low) / 2;
            let record = self.child_row(middle)?;
            match self.name(record)?.cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.as_child(middle, record).map(Some),
            }
        }
        Ok(None)
    }

    /// The parent directory of a directory (the root is its own, and that of everything else).
    pub fn parent(&self, directory: RowNo) -> Result<RowNo, TableError> {
        Ok(self.directory(directory)?.map_or(Self::ROOT, |directory| directory.parent))
    }

    /// Child number `position` of a directory, `Ok(None)` past the last one.
    pub fn child(&self, directory: RowNo, position: u32) -> Result<Option<Child<'_>>, TableError> {
        match self.directory(directory)? {
            Some(span) if position < span.children => {
                let row = span.first + position;
                self.as_child(row, self.child_row(row)?).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// How many children a directory has; 0 for anything else.
    pub fn children(&self, directory: RowNo) -> Result<u32, TableError> {
        Ok(self.directory(directory)?.map_or(0, |directory| directory.children))
    }

    /// A symlink's text; empty for anything else.
    pub fn link_text(&self, row: RowNo) -> Result<&[u8], TableError> {
        match self.row(row)? {
            Some(record) if record.flags & ALIAS == 0 && self.kind(record)? == Kind::Symlink => {
                self.bytes(self.sections.texts, record.place.into(), record.value.get())
            }
            _ => Ok(&[]),
        }
    }

    /// Where a regular file's bytes are; `Ok(None)` for other kinds.
    pub fn file(&self, row: RowNo) -> Result<Option<FileData>, TableError> {
        let Some(record) = self.row(row)?.filter(|record| record.flags & ALIAS == 0) else {
            return Ok(None);
        };
        if self.kind(record)? != Kind::File {
            return Ok(None);
        }
        let file: &FileRow = self.record(self.sections.files, record.place.into())?;
        let sparse = match self.sparse(row, record)? {
            Some(map) => Some(self.extents(map)?),
            None => None,
        };
        let data = file.data.get();
        Ok(Some(FileData {
            layer: halves(data).0 >> 16,
            data_offset: data & ((1 << 48) - 1),
            size: record.value.get(),
            sparse,
            content: ContentId(file.content),
        }))
    }

    /// Extended attributes, sorted by name.
    pub fn xattrs(&self, row: RowNo) -> Result<Xattrs<'_>, TableError> {
        let mut at = self.row(row)?.map_or(0, |record| u64::from(record.xattrs.get()));
        let mut set = Vec::new();
        while at > 0 {
            let heap = self.sections.xattrs;
            let name_length = u16::from_le_bytes(self.array(heap, at)?);
            if name_length == 0 {
                break;
            }
            let value_length = u32::from_le_bytes(self.array(heap, at + 2)?);
            let name = self.bytes(heap, at + 6, name_length.into())?;
            at += 6 + u64::from(name_length);
            let value = self.bytes(heap, at, value_length.into())?;
            at += u64::from(value_length);
            set.push((name, value));
        }
        Ok(set)
    }

    /// Whether any row has extended attributes.
    pub fn has_xattrs(&self) -> bool {
        self.header.xattrs.get() > XATTR_HEAD
    }

    /// Whether any row may have an extended attribute of such a name. Looks at the first
    /// `LOOKED_AT` bytes of them; where there are more, or they are damaged, the answer is yes.
    pub fn may_have_xattr(&self, is: impl Fn(&[u8]) -> bool) -> bool {
        let heap = self.sections.xattrs;
        let (mut at, end) = (XATTR_HEAD, heap.length);
        while at < end {
            let Ok(length) = self.array(heap, at).map(u16::from_le_bytes) else { return true };
            // The end of a set.
            if length == 0 {
                at += 2;
                continue;
            }
            let value = self.array(heap, at + 2).map(u32::from_le_bytes);
            let name = self.bytes(heap, at + 6, length.into());
            let (Ok(value), Ok(name)) = (value, name) else { return true };
            if is(name) || at > LOOKED_AT {
                return true;
            }
            at += 6 + u64::from(length) + u64::from(value);
        }
        false
    }

    /// The position of the layer whose entry made this name or last described it, 0 = bottom;
    /// `None` when there is no such row.
    pub fn layer(&self, name: RowNo) -> Result<Option<u32>, TableError> {
        Ok(self.row(name)?.map(|record| record.layer.get().into()))
    }

    /// Whether a directory is there only because something is in it: no entry describes it.
    pub fn is_implied(&self, row: RowNo) -> Result<bool, TableError> {
        Ok(self.row(row)?.is_some_and(|record| record.flags & IMPLIED != 0))
    }

    /// Totals of the whole tree.
    pub fn totals(&self) -> Totals {
        Totals {
            inodes: self.header.inodes.get(),
            bytes: self.header.bytes.get(),
            files: self.header.file_inodes.get(),
            directories: self.header.directory_inodes.get(),
        }
    }

    /// How many warnings there were beyond those that [`ImageTree::warnings`] lists.
    pub fn dropped_warnings(&self) -> u64 {
        self.header.dropped_warnings.get()
    }

    /// The directory in a row; `Ok(None)` for another kind or no row at all. Children have larger
    /// rows than their directory and parents smaller ones, so no walk up or down can go in circles.
    pub(super) fn directory(&self, row: RowNo) -> Result<Option<Directory>, TableError> {
        let Some(record) = self.row(row)? else { return Ok(None) };
        if self.kind(record)? != Kind::Directory {
            return Ok(None);
        }
        let (parent, children) = halves(record.value.get());
        let first = record.place.get();
        let end = first.checked_add(children).filter(|&end| end <= self.rows());
        if end.is_none() || first <= row.0 || (parent >= row.0 && row != Self::ROOT) {
            return Err(self.damaged("a directory's children or parent are out of range"));
        }
        Ok(Some(Directory { parent: RowNo(parent), first, children }))
    }

    /// The name in a row; empty for the root and for no row.
    pub fn own_name(&self, row: RowNo) -> Result<&[u8], TableError> {
        self.row(row)?.map_or(Ok(&[]), |record| self.name(record))
    }

    pub(super) fn damaged(&self, what: &'static str) -> TableError {
        TableError::Damaged { table: self.chain.0.to_string(), what }
    }

    fn row(&self, row: RowNo) -> Result<Option<&Row>, TableError> {
        if row.0 >= self.rows() {
            return Ok(None);
        }
        self.record(self.sections.rows, row.0.into()).map(Some)
    }

    fn child_row(&self, row: u32) -> Result<&Row, TableError> {
        self.record(self.sections.rows, row.into())
    }

    fn as_child<'a>(&'a self, at: u32, record: &'a Row) -> Result<Child<'a>, TableError> {
        let kind = self.kind(record)?;
        let row = match record.flags & ALIAS {
            0 => at,
            _ if kind == Kind::Directory || record.place.get() >= at => {
                return Err(self.damaged("a hard link leads nowhere"));
            }
            _ => record.place.get(),
        };
        Ok(Child { name: self.name(record)?, entry: RowNo(at), row: RowNo(row), kind })
    }

    fn name(&self, record: &Row) -> Result<&[u8], TableError> {
        let (start, length) = (record.name_offset.get(), record.name_length);
        self.bytes(self.sections.names, start.into(), length.into())
    }

    fn kind(&self, record: &Row) -> Result<Kind, TableError> {
        kind_of(record.mode).ok_or_else(|| self.damaged("a row of unknown kind"))
    }

    fn sparse(&self, row: RowNo, record: &Row) -> Result<Option<&SparseRow>, TableError> {
        if record.flags & SPARSE == 0 {
            return Ok(None);
        }
        let (mut low, mut high) = (0, u64::from(self.header.sparse_files.get()));
        while low < high {
            let middle = low + (high - low) / 2;
            let map: &SparseRow = self.record(self.sections.sparse, middle)?;
            match map.row.get().cmp(&row.0) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(Some(map)),
            }
        }
        Err(self.damaged("a sparse file has no map"))
    }

    fn extents(&self, map: &SparseRow) -> Result<Vec<Extent>, TableError> {
        let size = size_of::<ExtentRow>() as u64;
        let start = map.first.get().checked_mul(size);
        let start = start.ok_or_else(|| self.damaged("an offset points outside the table"))?;
        let bytes = self.bytes(self.sections.extents, start, u64::from(map.count.get()) * size)?;
        let rows = <[ExtentRow]>::ref_from_bytes(bytes)
            .map_err(|_| self.damaged("a sparse map is cut off"))?;
        let extent =
            |row: &ExtentRow| Extent { offset: row.offset.get(), length: row.length.get() };
        Ok(rows.iter().map(extent).collect())
    }

    pub(super) fn record<T>(&self, section: Section, position: u64) -> Result<&T, TableError>
    where
        T: FromBytes + Immutable + KnownLayout + Unaligned,
    {
        let size = size_of::<T>() as u64;
        let start = position.saturating_mul(size);
        let bytes = self.bytes(section, start, size)?;
        T::ref_from_bytes(bytes).map_err(|_| self.damaged("a record is cut off"))
    }

    fn array<const N: usize>(&self, section: Section, start: u64) -> Result<[u8; N], TableError> {
        let bytes = self.bytes(section, start, N as u64)?;
        bytes.try_into().map_err(|_| self.damaged("a number is cut off"))
    }

    pub(super) fn bytes(
        &self,
        section: Section,
        start: u64,
        length: u64,
    ) -> Result<&[u8], TableError> {
        let end = start.checked_add(length).filter(|&end| end <= section.length);
        if end.is_none() {
            return Err(self.damaged("an offset points outside its section"));
        }
        self.body.bytes(section.start + start, length).map_err(|what| self.damaged(what))
    }
}

/// The upper and the lower half.
fn halves(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    (u32::from_le_bytes([e, f, g, h]), u32::from_le_bytes([a, b, c, d]))
}
