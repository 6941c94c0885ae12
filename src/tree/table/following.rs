//! What comes after a name when a whole tree is walked: parents first, each directory's names in
//! order, as find(1), tar(1) and cp(1) go.
//!
//! A row does not say which directory it is in. The table lists the directories that have children,
//! which come in the order of their children's rows, so the one that has a row is found by binary
//! search.

use zerocopy::little_endian::U32;

use super::read::ImageTree;
use crate::tree::{RowNo, TableError};

/// Goes on from a name; made by [`ImageTree::following`]. In a forged table it may go in circles:
/// whoever walks sets a bound.
#[derive(Debug)]
pub struct Following<'a> {
    tree: &'a ImageTree,
    /// `None`: at the end.
    at: Option<RowNo>,
    /// The directory that `at` is in and the end of its rows, once it is known.
    inside: Option<(RowNo, u32)>,
}

impl ImageTree {
    /// The rows of the names after `entry`, in the order of a walk.
    pub fn following(&self, entry: RowNo) -> Following<'_> {
        Following { tree: self, at: Some(entry), inside: None }
    }

    /// The directory that `entry` is a name in, and the end of its rows; `Ok(None)` for the root
    /// and for no row.
    fn directory_of(&self, entry: RowNo) -> Result<Option<(RowNo, u32)>, TableError> {
        let (mut low, mut high) = (0, self.header.parents.get());
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let row: &U32 = self.record(self.sections.parents, middle.into())?;
            let row = RowNo(row.get());
            let Some(directory) = self.directory(row)? else {
                return Err(self.damaged("what should be a directory is none"));
            };
            if directory.first <= entry.0 {
                found = Some((row, directory.first + directory.children));
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(found.filter(|(row, end)| row.0 < entry.0 && entry.0 < *end))
    }
}

impl Following<'_> {
    /// The next name's row; `Ok(None)` at the end.
    ///
    /// # Errors
    /// Damage of the table.
    pub fn step(&mut self) -> Result<Option<RowNo>, TableError> {
        let Some(mut at) = self.at.take() else { return Ok(None) };
        if let Some(inner) = self.tree.directory(at)?
            && inner.children > 0
        {
            self.inside = Some((at, inner.first + inner.children));
            self.at = Some(RowNo(inner.first));
            return Ok(self.at);
        }
        loop {
            let inside = match self.inside.take() {
                None => self.tree.directory_of(at)?,
                known => known,
            };
            let Some((directory, end)) = inside else { return Ok(None) };
            if at.0 + 1 < end {
                self.inside = inside;
                self.at = Some(RowNo(at.0 + 1));
                return Ok(self.at);
            }
            // Directories are in smaller rows than their names, so this ends.
            at = directory;
        }
    }
}
