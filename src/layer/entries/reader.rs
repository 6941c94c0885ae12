//! The reading half: believes nothing.

use std::io::Read;
use std::sync::LazyLock;

use super::varint::Input;
use super::{END, EntriesError, KIND, MODE, OWNER, Previous, SPARSE, TIME, XATTRS};
use crate::layer::{ContentId, Entry, Extent, Kind, Time, Xattr};

/// Limits of what is allocated in one go: what the walker lets pass when its own are raised.
const PATH_LIMIT: usize = 4095;
const XATTRS_LIMIT: usize = 1 << 20;
const XATTR_NAME_LIMIT: usize = 255;
const XATTR_VALUE_LIMIT: usize = 64 << 20;
const RUNS_LIMIT: usize = 1 << 24;

/// What an empty file contains.
static EMPTY: LazyLock<ContentId> = LazyLock::new(|| ContentId(*blake3::hash(b"").as_bytes()));

/// Reads what a [`Writer`](super::Writer) wrote; nothing follows the first error or the end mark.
///
/// It reads ahead: give it a reader that ends where the section does.
#[derive(Debug)]
pub struct Reader<R: Read> {
    input: Input<R>,
    previous: Previous,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// A reader of a section.
    pub fn new(input: R) -> Self {
        Self { input: Input::new(input), previous: Previous::default(), ended: false }
    }

    fn read(&mut self) -> Result<Option<Entry>, EntriesError> {
        let tag = self.input.byte()?;
        let kind = match tag & KIND {
            0 => Kind::Directory,
            1 => Kind::File,
            2 => Kind::Symlink,
            3 => Kind::HardLink,
            4 => Kind::CharDevice,
            5 => Kind::BlockDevice,
            6 => Kind::Fifo,
            _ if tag == END => return self.input.end().map(|()| None),
            _ => return Err(self.input.damaged("an unknown tag")),
        };
        let mut entry = self.read_attributes(tag, kind)?;
        if kind == Kind::File {
            self.read_file(tag, &mut entry)?;
        }
        self.previous.pass(&entry);
        self.input.position += 1;
        Ok(Some(entry))
    }

    fn read_attributes(&mut self, tag: u8, kind: Kind) -> Result<Entry, EntriesError> {
        let path = self.read_path()?;
        let input = &mut self.input;
        let mode = match tag & MODE {
            0 => self.previous.mode(kind),
            _ => u16::try_from(input.length(0o7777)?).unwrap_or_default(),
        };
        let (uid, gid) = match tag & OWNER {
            0 => self.previous.owner,
            _ => (input.unsigned32()?, input.unsigned32()?),
        };
        let mtime = match tag & TIME {
            0 => self.previous.mtime,
            _ => Time {
                seconds: self.previous.mtime.seconds.wrapping_add(input.signed()?),
                nanos: u32::try_from(input.length(999_999_999)?).unwrap_or_default(),
            },
        };
        let link = match kind {
            Kind::Symlink | Kind::HardLink => input.bytes(PATH_LIMIT)?,
            _ => Vec::new(),
        };
        let device = match kind {
            Kind::CharDevice | Kind::BlockDevice => (input.unsigned32()?, input.unsigned32()?),
            _ => (0, 0),
        };
        let xattrs = if tag & XATTRS == 0 { Vec::new() } else { self.read_xattrs()? };
        Ok(Entry {
            path,
            kind,
            mode,
            uid,
            gid,
            mtime,
            size: 0,
            link,
            device,
            xattrs,
            data_offset: 0,
            sparse: None,
            content: ContentId([0; 32]),
        })
    }

    /// A path: what it shares with the one before, then the rest; clean, as an entry's always is.
    fn read_path(&mut self) -> Result<Vec<u8>, EntriesError> {
        let shared = self.input.length(self.previous.path.len())?;
        let rest = self.input.length(PATH_LIMIT - shared)?;
        let mut path = Vec::with_capacity(shared + rest);
        path.extend_from_slice(self.previous.path.get(..shared).unwrap_or_default());
        path.resize(shared + rest, 0);
        self.input.fill(path.get_mut(shared..).unwrap_or_default())?;
        let clean =
            |component: &[u8]| !matches!(component, b"" | b"." | b"..") && component.len() <= 255;
        // Whole components of the shared part were looked at when they came.
        let known = path.get(..shared).unwrap_or_default();
        let known = known.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let fresh = path.get(known..).unwrap_or_default();
        if path.is_empty() || fresh.split(|byte| *byte == b'/').all(clean) {
            Ok(path)
        } else {
            Err(self.input.damaged("a path that is not clean"))
        }
    }

    fn read_xattrs(&mut self) -> Result<Vec<Xattr>, EntriesError> {
        let count = self.input.length(XATTRS_LIMIT)?;
        let mut xattrs: Vec<Xattr> = Vec::new();
        for _ in 0..count {
            let name = self.input.bytes(XATTR_NAME_LIMIT)?;
            if xattrs.last().is_some_and(|(before, _)| *before >= name) {
                return Err(self.input.damaged("extended attributes out of order"));
            }
            xattrs.push((name, self.input.bytes(XATTR_VALUE_LIMIT)?));
        }
        Ok(xattrs)
    }

    fn read_file(&mut self, tag: u8, entry: &mut Entry) -> Result<(), EntriesError> {
        entry.size = self.input.unsigned()?;
        let place = self.previous.place();
        entry.data_offset = place.wrapping_add_signed(self.input.signed()?);
        if tag & SPARSE != 0 {
            entry.sparse = Some(self.read_runs(entry.size)?);
        }
        if entry.data_offset.checked_add(entry.stored()).is_none() {
            return Err(self.input.damaged("a file beyond the end of all offsets"));
        }
        if entry.size > 0 || entry.sparse.is_some() {
            self.input.fill(&mut entry.content.0)?;
        } else {
            entry.content = *EMPTY;
        }
        Ok(())
    }

    fn read_runs(&mut self, size: u64) -> Result<Vec<Extent>, EntriesError> {
        let count = self.input.length(RUNS_LIMIT)?;
        let mut runs = Vec::new();
        let mut end = 0_u64;
        for _ in 0..count {
            let (hole, length) = (self.input.unsigned()?, self.input.unsigned()?);
            let offset = end.checked_add(hole);
            let run = offset.and_then(|offset| Some((offset, offset.checked_add(length)?)));
            let Some((offset, after)) = run.filter(|(_, after)| *after <= size) else {
                return Err(self.input.damaged("a run beyond the end of its file"));
            };
            runs.push(Extent { offset, length });
            end = after;
        }
        Ok(runs)
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Entry, EntriesError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read().transpose();
        self.ended = !matches!(read, Some(Ok(_)));
        read
    }
}
