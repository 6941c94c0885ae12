//! The writing half: one entry after the other, each as the difference to the one before.

use std::io::{self, Write};

use super::varint::{put_bytes, put_length, put_signed, put_unsigned};
use super::{END, MODE, OWNER, Previous, SPARSE, TIME, XATTRS, number};
use crate::layer::{Entry, Kind};

/// What a writer counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Entries written.
    pub entries: u64,
    /// Entries with a path component that begins with `.wh.`; without any, the merge has no
    /// whiteouts to look for.
    pub whiteouts: u64,
    /// Bytes stored for all regular files, holes excluded.
    pub stored: u64,
}

/// Writes entries, each as soon as it is pushed.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    /// The bytes of one entry.
    record: Vec<u8>,
    previous: Previous,
    summary: Summary,
}

impl<W: Write> Writer<W> {
    /// A writer to `out`; every entry is one `write_all`.
    pub fn new(out: W) -> Self {
        Self { out, record: Vec::new(), previous: Previous::default(), summary: Summary::default() }
    }

    /// Appends one entry. Its content is kept for regular files that are not empty; others have
    /// none that their kind does not tell.
    pub fn push(&mut self, entry: &Entry) -> io::Result<()> {
        self.record.clear();
        self.encode(entry);
        self.out.write_all(&self.record)?;
        self.previous.pass(entry);
        self.summary.entries += 1;
        self.summary.whiteouts += u64::from(is_whiteout(&entry.path));
        if entry.kind == Kind::File {
            self.summary.stored = self.summary.stored.saturating_add(entry.stored());
        }
        Ok(())
    }

    /// What was written so far and not taken away: a caller that cuts the stream into pieces
    /// empties it between entries.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes the end mark; gives back `out` and the counts.
    pub fn finish(mut self) -> io::Result<(W, Summary)> {
        self.record.clear();
        self.record.push(END);
        put_unsigned(&mut self.record, self.summary.entries);
        self.out.write_all(&self.record)?;
        Ok((self.out, self.summary))
    }

    fn encode(&mut self, entry: &Entry) {
        let out = &mut self.record;
        let previous = &self.previous;
        let mode = entry.mode != previous.mode(entry.kind);
        let owner = (entry.uid, entry.gid) != previous.owner;
        let time = entry.mtime != previous.mtime;
        let mut tag = number(entry.kind);
        for (is_so, bit) in [
            (mode, MODE),
            (owner, OWNER),
            (time, TIME),
            (!entry.xattrs.is_empty(), XATTRS),
            (entry.sparse.is_some(), SPARSE),
        ] {
            tag |= if is_so { bit } else { 0 };
        }
        out.push(tag);
        let pairs = previous.path.iter().zip(&entry.path);
        let shared = pairs.take_while(|(before, now)| before == now).count();
        put_length(out, shared);
        put_bytes(out, entry.path.get(shared..).unwrap_or_default());
        if mode {
            put_unsigned(out, entry.mode.into());
        }
        if owner {
            put_unsigned(out, entry.uid.into());
            put_unsigned(out, entry.gid.into());
        }
        if time {
            put_signed(out, entry.mtime.seconds.wrapping_sub(previous.mtime.seconds));
            put_unsigned(out, entry.mtime.nanos.into());
        }
        match entry.kind {
            Kind::Symlink | Kind::HardLink => put_bytes(out, &entry.link),
            Kind::CharDevice | Kind::BlockDevice => {
                put_unsigned(out, entry.device.0.into());
                put_unsigned(out, entry.device.1.into());
            }
            Kind::Directory | Kind::File | Kind::Fifo => {}
        }
        if !entry.xattrs.is_empty() {
            put_length(out, entry.xattrs.len());
            for (name, value) in &entry.xattrs {
                put_bytes(out, name);
                put_bytes(out, value);
            }
        }
        if entry.kind == Kind::File {
            encode_file(out, entry, previous.place());
        }
    }
}

fn encode_file(out: &mut Vec<u8>, entry: &Entry, place: u64) {
    put_unsigned(out, entry.size);
    put_signed(out, entry.data_offset.wrapping_sub(place).cast_signed());
    if let Some(runs) = &entry.sparse {
        put_length(out, runs.len());
        let mut end = 0;
        for run in runs {
            put_unsigned(out, run.offset.wrapping_sub(end));
            put_unsigned(out, run.length);
            end = run.offset.wrapping_add(run.length);
        }
    }
    if entry.size > 0 || entry.sparse.is_some() {
        out.extend_from_slice(&entry.content.0);
    }
}

/// Whether a component of the path begins with `.wh.`.
fn is_whiteout(path: &[u8]) -> bool {
    path.starts_with(b".wh.") || path.windows(5).any(|window| window == b"/.wh.")
}
