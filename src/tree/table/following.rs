//! What comes after a name when a whole tree is walked: parents first, each directory's names in
//! order, as find(1), tar(1) and cp(1) go.
//!
//! A row does not say which directory it is in. Directories come in the order of their children's
//! rows, so the one that has a row is found by binary search over the rows, of which the nearest
//! directory at or before each probe counts.

use super::read::{Directory, ImageTree};
use crate::tree::{RowNo, TableError};

/// How far back from a probe a directory is searched. Where so many names stand side by side, the
/// walk ends.
const PROBE: u32 = 4096;

/// Goes on from a name; made by [`ImageTree::following`].
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

    /// The directory that `entry` is a name in; `Ok(None)` for the root, for no row, and where
    /// finding out takes too long.
    fn directory_of(&self, entry: RowNo) -> Result<Option<(RowNo, u32)>, TableError> {
        let mut found = None;
        // Directories before `low` have their children at or before the entry, from `high` on after.
        let (mut low, mut high) = (0, entry.0.min(self.rows()));
        while low < high {
            let middle = low + (high - low) / 2;
            let nearest = self.directory_before(middle, low)?;
            match nearest {
                Some((row, directory)) if directory.first <= entry.0 => {
                    found = Some((row, directory));
                    low = middle + 1;
                }
                Some((row, _)) => high = row.0,
                // No directory in `low..=middle`.
                None if middle - low < PROBE => low = middle + 1,
                None => return Ok(None),
            }
        }
        let rows = found.map(|(row, directory)| (row, directory.first + directory.children));
        Ok(rows.filter(|(_, end)| entry.0 < *end))
    }

    /// The last directory in the rows `least..=most`, not further back than [`PROBE`].
    fn directory_before(
        &self,
        most: u32,
        least: u32,
    ) -> Result<Option<(RowNo, Directory)>, TableError> {
        for row in (least.max(most.saturating_sub(PROBE))..=most).rev() {
            if let Some(directory) = self.directory(RowNo(row))? {
                return Ok(Some((RowNo(row), directory)));
            }
        }
        Ok(None)
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
