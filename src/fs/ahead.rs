//! Which files will be read next, so that they can be sent to the kernel before it asks.
//!
//! Small files cost a reader more in messages than in bytes: where the reader and the server run on
//! different processors, each answer wakes one of them up (some 40 us in a virtual machine), and the
//! kernel reads ahead inside a file but never from one file to the next. Whoever reads file after
//! file in the order in which the directories list them (find, tar, cp, grep -r) therefore gets the
//! next files before asking: reading all of `node` (42,600 files) takes 2,500 reads and 2.8 s, not
//! 38,000 and 4.4 s.
//!
//! Two files read one right after the other are a walk. Its next files make a *batch*, small at
//! first and twice as large each time the walk goes on. A file that was sent is read without a
//! message, so how far a walk has come is seen by two files that are not sent: the *marker* in the
//! middle of a batch, at which the next one is prepared, and the one behind its end.

use std::collections::VecDeque;
use std::iter;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Error, FileBytes, ImageFs, Ino};
use crate::layer::Kind;
use crate::tree::RowNo;

/// Files in the first batch of a walk.
const FIRST: usize = 4;

/// Files in the largest batch.
const MOST: usize = 64;

/// Bytes in the largest batch: a fraction of what decoded spans may take.
const MOST_BYTES: u64 = 1 << 20;

/// The largest file that is sent. The kernel itself reads ahead in larger ones.
const LARGEST: u64 = 256 << 10;

/// Names that are passed for one batch, which may be links and directories.
const NAMES: usize = 1024;

/// Walks that are followed at once.
const WALKS: usize = 8;

/// Files whose successor is remembered.
const RECENT: usize = 8;

/// Files to be sent to the kernel, in this order.
pub type Batch = Vec<Ino>;

/// What is known of the walks on one mount. Forgets the oldest.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    walks: VecDeque<Walk>,
    /// What comes after the files that were read last.
    expected: VecDeque<Ino>,
}

#[derive(Debug)]
struct Walk {
    /// The last batch, with its marker.
    files: Vec<Ino>,
    marker: Option<Ino>,
    /// The file behind the batch.
    end: Option<Ino>,
    /// Where the batch ends.
    last: RowNo,
    /// How many files the batch might have had.
    size: usize,
    /// The batch ends where it does because the kernel did not know the next file yet.
    early: bool,
}

impl Ahead {
    fn lock(&self) -> MutexGuard<'_, Known> {
        // A list of guesses is as good half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: FileBytes> ImageFs<C> {
    /// A reader has come to the beginning of a file; the files to be sent when that is a step of a
    /// walk.
    pub fn come_to(&self, ino: Ino) -> Option<Batch> {
        let mut known = self.ahead.lock();
        let goes_on = |walk: &Walk| walk.marker == Some(ino) || walk.end == Some(ino);
        let (from, size) = if let Some(at) = known.walks.iter().position(goes_on) {
            let walk = known.walks.remove(at)?;
            let from = if walk.end == Some(ino) { ino.row().ok()? } else { walk.last };
            (from, MOST.min(walk.size * 2))
        } else {
            let at = known.expected.iter().position(|next| *next == ino)?;
            known.expected.remove(at);
            (ino.row().ok()?, FIRST)
        };
        Some(self.begin(&mut known, from, size))
    }

    /// Plans the batch after `from` and remembers it.
    fn begin(&self, known: &mut Known, from: RowNo, size: usize) -> Batch {
        let walk = self.plan(from, size);
        let sent = |file: &&Ino| Some(**file) != walk.marker;
        let batch = walk.files.iter().filter(sent).copied().collect();
        if known.walks.len() == WALKS {
            known.walks.pop_front();
        }
        known.walks.push_back(walk);
        batch
    }

    /// A file was read from its beginning, which was no step of a walk: the next may be one.
    pub fn left(&self, ino: Ino) {
        let Ok(row) = ino.row() else { return };
        if self.ahead.lock().walks.iter().any(|walk| walk.files.contains(&ino)) {
            return;
        }
        let Some((next, _)) = self.files_after(row).next() else { return };
        let mut known = self.ahead.lock();
        if known.expected.len() == RECENT {
            known.expected.pop_front();
        }
        known.expected.push_back(Ino::of(next));
    }

    /// The kernel does not know this file of a batch yet: the walk has not come to its directory.
    pub fn too_early(&self, ino: Ino) {
        let mut known = self.ahead.lock();
        if let Some(walk) = known.walks.iter_mut().find(|walk| walk.files.contains(&ino)) {
            walk.end = Some(ino);
            walk.marker = None;
            walk.early = true;
        }
    }

    /// A directory was listed; the files to be sent when a walk was too early for them.
    pub fn listed(&self, directory: Ino) -> Option<Batch> {
        let mut known = self.ahead.lock();
        let waits =
            |walk: &Walk| walk.early && walk.end.is_some_and(|end| self.is_in(directory, end));
        let at = known.walks.iter().position(waits)?;
        let size = known.walks.remove(at)?.size;
        Some(self.begin(&mut known, directory.row().ok()?, size))
    }

    /// Whether `entry` is a name in `directory`.
    fn is_in(&self, directory: Ino, entry: Ino) -> bool {
        let inside = || {
            let directory = directory.row().ok()?;
            let first = self.tree.child(directory, 0).ok()??.entry;
            let position = entry.row().ok()?.0.checked_sub(first.0)?;
            Some(position < self.tree.children(directory).ok()?)
        };
        inside() == Some(true)
    }

    /// Appends the bytes of a whole file of a batch to `out`.
    pub fn bytes_ahead(&self, ino: Ino, out: &mut Vec<u8>) -> Result<(), Error> {
        let file = self.file(ino)?;
        let length = usize::try_from(file.size).unwrap_or(usize::MAX);
        self.content.read(&file, 0, length, out).map_err(Error::Content)
    }

    /// The files after `from` that a reader reads, with their sizes. Ends early at damage: whoever
    /// reads there is told.
    fn files_after(&self, from: RowNo) -> impl Iterator<Item = (RowNo, u64)> {
        let mut names = self.tree.following(from);
        let rows = iter::from_fn(move || names.step().ok().flatten()).take(NAMES);
        rows.filter_map(|row| {
            let file = self.tree.attributes(row).ok().flatten()?;
            (file.kind == Kind::File && file.size > 0).then_some((row, file.size))
        })
    }

    /// The batch of at most `size` files after `from`.
    fn plan(&self, from: RowNo, size: usize) -> Walk {
        let mut walk =
            Walk { files: Vec::new(), marker: None, end: None, last: from, size, early: false };
        let mut bytes = 0;
        for (row, length) in self.files_after(from) {
            if walk.files.len() == size || bytes >= MOST_BYTES {
                walk.end = Some(Ino::of(row));
                break;
            }
            walk.last = row;
            if length <= LARGEST {
                bytes += length;
                walk.files.push(Ino::of(row));
            }
        }
        if let [_, .., _] = walk.files[..] {
            walk.marker = walk.files.get(walk.files.len() / 2).copied();
        }
        walk
    }
}
