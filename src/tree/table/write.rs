//! A merged tree becomes a table, in one stream from front to back.

use std::collections::HashMap;
use std::io::{self, Write};

use zerocopy::IntoBytes;
use zerocopy::little_endian::{I64, U16, U32, U64};

use super::format::{
    ALIAS, CHECK, CHUNK, ExtentRow, FileRow, Header, IMPLIED, MAGIC, Row, SPARSE, Section,
    Sections, SparseRow, VERSION, WarningHead, chain_fields, mode_of,
};
use crate::oci::ChainId;
use crate::tree::merge::{Body, Merged, Visible, stored};

/// Writes the table of `merged`; equal layers give equal bytes. `out` needs no buffer.
pub fn write(merged: &Merged, chain: ChainId, mut out: impl Write) -> io::Result<()> {
    let plan = Plan::of(merged)?;
    let header = plan.header(merged, chain);
    let sections = Sections::of(&header).ok_or_else(too_large)?;
    out.write_all(header.as_bytes())?;
    let mut body = BodyWriter::new(out);
    rows(merged, &plan, &mut body)?;
    body.pad(sections.parents)?;
    parents(merged, &mut body)?;
    body.pad(sections.files)?;
    files(merged, &mut body)?;
    body.pad(sections.sparse)?;
    sparse(merged, &mut body)?;
    body.pad(sections.extents)?;
    extents(merged, &mut body)?;
    body.pad(sections.names)?;
    merged.rows().try_for_each(|row| body.put(row.name))?;
    body.pad(sections.texts)?;
    texts(merged, &mut body)?;
    body.pad(sections.xattrs)?;
    xattrs(merged, &plan, &mut body)?;
    body.pad(sections.warnings)?;
    warnings(merged, &mut body)?;
    body.pad(Section { start: sections.body, length: 0 })?;
    let (mut out, checks) = body.finish()?;
    out.write_all(&checks)?;
    let mut seal = blake3::Hasher::new();
    seal.update(header.as_bytes()).update(&checks);
    out.write_all(seal.finalize().as_bytes())?;
    out.flush()
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "the tree is too large for a table")
}

/// Sizes, which the header needs before anything is written.
#[derive(Debug, Default)]
struct Plan {
    rows: u32,
    parents: u32,
    files: u32,
    sparse_files: u32,
    extents: u64,
    names: u32,
    texts: u32,
    /// Where each set of the merge comes to stand; those that no visible node has are left out.
    xattrs: HashMap<u32, u32>,
    xattr_bytes: u32,
}

impl Plan {
    fn of(merged: &Merged) -> io::Result<Self> {
        // Offset 0 means "none", so the heap begins with bytes that nothing points at.
        let mut plan = Self { xattr_bytes: 8, ..Self::default() };
        for row in merged.rows() {
            plan.add(merged, &row).ok_or_else(too_large)?;
        }
        Ok(plan)
    }

    fn add(&mut self, merged: &Merged, row: &Visible<'_>) -> Option<()> {
        self.rows = self.rows.checked_add(1)?;
        self.names = self.names.checked_add(u32::try_from(row.name.len()).ok()?)?;
        if row.first.is_some() {
            return Some(());
        }
        match row.body {
            Body::File { sparse, .. } => {
                self.files += 1;
                if let Some(runs) = sparse {
                    self.sparse_files += 1;
                    self.extents += runs.len() as u64;
                }
            }
            Body::Symlink { text } => {
                self.texts = self.texts.checked_add(u32::try_from(text.len()).ok()?)?;
            }
            Body::Directory { children, .. } => self.parents += u32::from(children > 0),
            Body::Device { .. } | Body::Fifo => {}
        }
        if row.node.xattrs > 0 && !self.xattrs.contains_key(&row.node.xattrs) {
            let length = u32::try_from(merged.xattrs(row.node).len()).ok()?;
            self.xattrs.insert(row.node.xattrs, self.xattr_bytes);
            self.xattr_bytes = self.xattr_bytes.checked_add(length)?.checked_add(2)?;
        }
        Some(())
    }

    fn header(&self, merged: &Merged, chain: ChainId) -> Header {
        let (algorithm, chain) = chain_fields(chain);
        let totals = merged.totals();
        let warnings = merged.warnings();
        let warning_bytes: usize =
            warnings.iter().map(|at| size_of::<WarningHead>() + at.warning.path.len()).sum();
        Header {
            magic: MAGIC,
            version: U32::new(VERSION),
            layers: U32::new(merged.layers()),
            algorithm,
            rows: U32::new(self.rows),
            chain,
            files: U32::new(self.files),
            sparse_files: U32::new(self.sparse_files),
            extents: U64::new(self.extents),
            names: U64::new(self.names.into()),
            texts: U64::new(self.texts.into()),
            xattrs: U64::new(self.xattr_bytes.into()),
            warnings: U64::new(warning_bytes as u64),
            warning_count: U32::new(u32::try_from(warnings.len()).unwrap_or(u32::MAX)),
            parents: U32::new(self.parents),
            dropped_warnings: U64::new(merged.dropped_warnings()),
            inodes: U64::new(totals.inodes),
            bytes: U64::new(totals.bytes),
            file_inodes: U64::new(totals.files),
            directory_inodes: U64::new(totals.directories),
        }
    }
}

/// Where the next row's things stand in the other sections.
#[derive(Debug, Default)]
struct Cursor {
    child: u32,
    file: u32,
    name: u32,
    text: u32,
}

fn rows<W: Write>(merged: &Merged, plan: &Plan, body: &mut BodyWriter<W>) -> io::Result<()> {
    let mut cursor = Cursor { child: 1, ..Cursor::default() };
    for row in merged.rows() {
        body.put(record(&row, plan, &mut cursor).as_bytes())?;
    }
    Ok(())
}

/// The record of a row. Lengths were checked by [`Plan::of`].
fn record(row: &Visible<'_>, plan: &Plan, cursor: &mut Cursor) -> Row {
    let name_length = u8::try_from(row.name.len()).unwrap_or(u8::MAX);
    let mut flags = if row.implied { IMPLIED } else { 0 };
    let (value, mut place) = match row.body {
        Body::Directory { parent, children } => {
            let first = cursor.child;
            cursor.child += children;
            (u64::from(parent) << 32 | u64::from(children), first)
        }
        Body::File { file, sparse } => {
            flags |= if sparse.is_some() { SPARSE } else { 0 };
            (file.size, cursor.file)
        }
        Body::Symlink { text } => (text.len() as u64, cursor.text),
        Body::Device { major, minor } => (u64::from(major) << 32 | u64::from(minor), 0),
        Body::Fifo => (0, 0),
    };
    match (row.first, &row.body) {
        (Some(first), _) => {
            flags |= ALIAS;
            place = first;
        }
        (None, Body::File { .. }) => cursor.file += 1,
        (None, Body::Symlink { text }) => {
            cursor.text += u32::try_from(text.len()).unwrap_or(u32::MAX);
        }
        (None, _) => {}
    }
    let name_offset = cursor.name;
    cursor.name += u32::from(name_length);
    let node = row.node;
    Row {
        name_offset: U32::new(name_offset),
        name_length,
        flags,
        mode: mode_of(node.kind, node.mode),
        uid: U32::new(node.uid),
        gid: U32::new(node.gid),
        seconds: I64::new(node.time().seconds),
        nanos: U32::new(node.time().nanos),
        links: U32::new(row.links),
        value: U64::new(value),
        place: U32::new(place),
        xattrs: U32::new(plan.xattrs.get(&node.xattrs).copied().unwrap_or(0)),
        layer: U16::new(row.layer),
        reserved: U16::new(0),
    }
}

/// The directories that have children, so that the one that has a given row is found.
fn parents<W: Write>(merged: &Merged, body: &mut BodyWriter<W>) -> io::Result<()> {
    for (row, visible) in (0..).zip(merged.rows()) {
        if let Body::Directory { children: 1.., .. } = visible.body {
            body.put(U32::new(row).as_bytes())?;
        }
    }
    Ok(())
}

/// Rows that are the first names of their nodes, numbered.
fn firsts(merged: &Merged) -> impl Iterator<Item = (u32, Visible<'_>)> {
    (0..).zip(merged.rows()).filter(|(_, row)| row.first.is_none())
}

fn files<W: Write>(merged: &Merged, body: &mut BodyWriter<W>) -> io::Result<()> {
    for (_, row) in firsts(merged) {
        if let Body::File { file, .. } = row.body {
            let (content, data) = (file.content, U64::new(file.data));
            body.put(FileRow { content, data }.as_bytes())?;
        }
    }
    Ok(())
}

fn sparse<W: Write>(merged: &Merged, body: &mut BodyWriter<W>) -> io::Result<()> {
    let mut first = 0;
    for (row, visible) in firsts(merged) {
        if let Body::File { sparse: Some(runs), .. } = visible.body {
            let record = SparseRow {
                row: U32::new(row),
                count: U32::new(u32::try_from(runs.len()).map_err(|_| too_large())?),
                first: U64::new(first),
                stored: U64::new(stored(runs)),
            };
            body.put(record.as_bytes())?;
            first += runs.len() as u64;
        }
    }
    Ok(())
}

fn extents<W: Write>(merged: &Merged, body: &mut BodyWriter<W>) -> io::Result<()> {
    for (_, visible) in firsts(merged) {
        if let Body::File { sparse: Some(runs), .. } = visible.body {
            for run in runs {
                let (offset, length) = (U64::new(run.offset), U64::new(run.length));
                body.put(ExtentRow { offset, length }.as_bytes())?;
            }
        }
    }
    Ok(())
}

fn texts<W: Write>(merged: &Merged, body: &mut BodyWriter<W>) -> io::Result<()> {
    for (_, row) in firsts(merged) {
        if let Body::Symlink { text } = row.body {
            body.put(text)?;
        }
    }
    Ok(())
}

fn xattrs<W: Write>(merged: &Merged, plan: &Plan, body: &mut BodyWriter<W>) -> io::Result<()> {
    body.put(&[0; 8])?;
    let mut next = 8;
    for (_, row) in firsts(merged) {
        // A set stands where the first row that has it was planned.
        if plan.xattrs.get(&row.node.xattrs) == Some(&next) {
            let set = merged.xattrs(row.node);
            body.put(set)?;
            // The head of an attribute without a name ends the set.
            body.put(&[0; 2])?;
            next += u32::try_from(set.len() + 2).map_err(|_| too_large())?;
        }
    }
    Ok(())
}

fn warnings<W: Write>(merged: &Merged, body: &mut BodyWriter<W>) -> io::Result<()> {
    for at in merged.warnings() {
        let path = &at.warning.path;
        let head = WarningHead {
            layer: U16::new(u16::try_from(at.layer).map_err(|_| too_large())?),
            kind: at.warning.kind as u8,
            reserved: 0,
            path_length: U32::new(u32::try_from(path.len()).map_err(|_| too_large())?),
        };
        body.put(head.as_bytes())?;
        body.put(path)?;
    }
    Ok(())
}

/// Passes the body on chunk by chunk, and keeps each chunk's check.
struct BodyWriter<W: Write> {
    out: W,
    chunk: Vec<u8>,
    position: u64,
    checks: Vec<u8>,
}

impl<W: Write> BodyWriter<W> {
    fn new(out: W) -> Self {
        Self { out, chunk: Vec::with_capacity(CHUNK), position: 0, checks: Vec::new() }
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.position += bytes.len() as u64;
        while self.chunk.len() + bytes.len() >= CHUNK {
            let (now, later) = bytes.split_at(CHUNK - self.chunk.len());
            self.chunk.extend_from_slice(now);
            self.flush_chunk()?;
            bytes = later;
        }
        self.chunk.extend_from_slice(bytes);
        Ok(())
    }

    /// Zeros up to the beginning of `section`.
    fn pad(&mut self, section: Section) -> io::Result<()> {
        while self.position < section.start {
            self.put(&[0])?;
        }
        Ok(())
    }

    fn flush_chunk(&mut self) -> io::Result<()> {
        self.checks.extend_from_slice(&blake3::hash(&self.chunk).as_bytes()[..CHECK]);
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<(W, Vec<u8>)> {
        if !self.chunk.is_empty() {
            self.flush_chunk()?;
        }
        Ok((self.out, self.checks))
    }
}
