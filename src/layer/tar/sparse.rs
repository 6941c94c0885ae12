//! Maps of sparse files, from all four ways in which tars write them.
//!
//! ```text
//! old GNU    four runs in the header (type S), then blocks of 21 runs each, then the bytes
//! PAX 0.0    a record a number: GNU.sparse.offset, GNU.sparse.numbytes, by turns
//! PAX 0.1    one record GNU.sparse.map: numbers between commas
//! PAX 1.0    decimal lines before the bytes, padded to a block: how many, then offset and length
//! ```
//!
//! A map is in order, does not overlap and stays within the file's logical size, as Go and BSD
//! tar demand. Empty runs vanish and neighbours melt together, so two maps of one shape are equal.

use super::error::Fault;
use super::header::{BLOCK, Block};
use super::number::{decimal, numeric};
use super::pax::{Key, Records};
use crate::layer::Extent;
use crate::limits::{Limit, Limits};

/// Which of the formats in PAX records an entry uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaxSparse {
    /// Formats 0.0 and 0.1: the map is in the records.
    InRecords,
    /// Format 1.0: the map stands before the bytes.
    InData,
}

impl PaxSparse {
    /// What the records say; `None` for a plain file, or a version that nobody knows.
    pub fn of(records: &Records) -> Option<Self> {
        match (records.value(Key::SparseMajor), records.value(Key::SparseMinor)) {
            (Some(b"0"), Some(b"0" | b"1")) => Some(Self::InRecords),
            (Some(b"1"), Some(b"0")) => Some(Self::InData),
            (None, None) if records.has_runs() || records.value(Key::SparseMap).is_some() => {
                Some(Self::InRecords)
            }
            _ => None,
        }
    }
}

/// A map under construction: runs are pushed in the order in which they are stored.
#[derive(Debug)]
pub struct MapBuilder {
    runs: Vec<Extent>,
    /// The file's logical size.
    size: u64,
    /// Where the last run ended, empty ones included.
    end: u64,
    stored: u64,
}

impl MapBuilder {
    /// An empty map of a file with this logical size.
    pub fn new(size: i64) -> Result<Self, Fault> {
        let size = u64::try_from(size)
            .map_err(|_| Fault::Range { field: "the sparse file's size", value: size })?;
        Ok(Self { runs: Vec::new(), size, end: 0, stored: 0 })
    }

    /// The file's logical size.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a run.
    pub fn push(&mut self, offset: i64, length: i64) -> Result<(), Fault> {
        let (Ok(offset), Ok(length)) = (u64::try_from(offset), u64::try_from(length)) else {
            return Err(Fault::Sparse("a negative number"));
        };
        // Both fit 63 bits, so their sum fits 64.
        if offset + length > self.size {
            return Err(Fault::Sparse("a run beyond the end of the file"));
        }
        if offset < self.end {
            return Err(Fault::Sparse("runs overlap or are out of order"));
        }
        self.end = offset + length;
        self.stored += length;
        match self.runs.last_mut() {
            _ if length == 0 => {}
            Some(last) if last.offset + last.length == offset => last.length += length,
            _ => self.runs.push(Extent { offset, length }),
        }
        Ok(())
    }

    /// The runs, ascending, none empty, none touching another; an error unless they are as long
    /// as the bytes that the archive stores.
    pub fn finish(self, stored: u64) -> Result<Vec<Extent>, Fault> {
        if self.stored != stored {
            return Err(Fault::Sparse("its runs are not as long as the bytes stored"));
        }
        Ok(self.runs)
    }

    /// Reads the runs in an old GNU header; whether an extension block follows.
    pub fn read_header(&mut self, block: &Block) -> Result<bool, Fault> {
        self.read_runs(&block[386..482])?;
        Ok(block[482] != 0)
    }

    /// Reads the runs in an old GNU extension block; whether another one follows.
    fn read_extension(&mut self, block: &Block) -> Result<bool, Fault> {
        self.read_runs(&block[..504])?;
        Ok(block[504] != 0)
    }

    fn read_runs(&mut self, table: &[u8]) -> Result<(), Fault> {
        for run in table.chunks_exact(24) {
            if run.first() == Some(&0) {
                break;
            }
            let (offset, length) = run.split_at(12);
            match (numeric(offset), numeric(length)) {
                (Some(offset), Some(length)) => self.push(offset, length)?,
                _ => return Err(Fault::Number { field: "sparse run" }),
            }
        }
        Ok(())
    }

    /// Reads a map of format 0.0 or 0.1.
    pub fn read_records(&mut self, records: &Records) -> Result<(), Fault> {
        let Some(blocks) = records.number(Key::SparseBlocks, "GNU.sparse.numblocks")? else {
            return Err(Fault::Sparse("no GNU.sparse.numblocks"));
        };
        let map = records.value(Key::SparseMap).filter(|_| !records.has_runs());
        let list = map.into_iter().flat_map(|map| map.split(|byte| *byte == b','));
        let mut numbers = records.runs().chain(list);
        let mut pairs = 0_i64;
        while let Some(offset) = numbers.next() {
            let length = numbers.next().ok_or(Fault::Sparse("an offset without a length"))?;
            match (decimal(offset), decimal(length)) {
                (Some(offset), Some(length)) => self.push(offset, length)?,
                _ => return Err(Fault::Number { field: "sparse run" }),
            }
            pairs += 1;
        }
        if pairs != blocks {
            return Err(Fault::Sparse("GNU.sparse.numblocks is not the number of runs"));
        }
        Ok(())
    }
}

/// A map that goes on in blocks of its own between the header and the file's bytes.
#[derive(Debug)]
pub struct MapReader {
    /// The map so far.
    pub map: MapBuilder,
    /// Bytes of data still to come: without the map, once that is complete.
    pub stored: u64,
    /// The lines of PAX 1.0, whose blocks count as data; `None` for GNU's, which do not.
    text: Option<MapText>,
    /// Bytes of the blocks so far.
    taken: u64,
}

impl MapReader {
    /// A reader of old GNU extension blocks; `stored` bytes of data follow them.
    pub fn gnu(map: MapBuilder, stored: u64) -> Box<Self> {
        Box::new(Self { map, stored, text: None, taken: 0 })
    }

    /// A reader of a PAX 1.0 map at the beginning of `stored` bytes of data.
    pub fn pax(map: MapBuilder, stored: u64) -> Box<Self> {
        Box::new(Self { map, stored, text: Some(MapText::default()), taken: 0 })
    }

    /// Reads a block, if the blocks so far are within the limits; whether it was the last.
    pub fn read_block(&mut self, block: &Block, limits: &Limits) -> Result<bool, Fault> {
        self.taken += BLOCK as u64;
        limits.hold(Limit::Extension, self.taken)?;
        let Some(text) = &mut self.text else {
            return self.map.read_extension(block).map(|more| !more);
        };
        let stored = self.stored.checked_sub(BLOCK as u64);
        self.stored = stored.ok_or(Fault::Sparse("it is longer than the data it stands in"))?;
        text.read_block(block, &mut self.map)
    }
}

/// Reads the lines of format 1.0, a block at a time.
#[derive(Debug, Default)]
struct MapText {
    /// The digits of a line whose end has not come yet.
    line: Vec<u8>,
    /// Numbers still to come; `None` before the first line.
    left: Option<i64>,
    /// An offset whose length has not come yet.
    offset: Option<i64>,
}

/// A line with more bytes than this is no number.
const LINE_MAX: usize = 32;

impl MapText {
    /// Reads one block into `map`; whether the map is complete, so that the file's bytes follow.
    fn read_block(&mut self, block: &Block, map: &mut MapBuilder) -> Result<bool, Fault> {
        for byte in block {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > LINE_MAX {
                    return Err(Fault::Number { field: "sparse run" });
                }
                continue;
            }
            let number = decimal(&self.line).ok_or(Fault::Number { field: "sparse run" })?;
            self.line.clear();
            if self.take(number, map)? == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the next number; how many are still to come.
    fn take(&mut self, number: i64, map: &mut MapBuilder) -> Result<i64, Fault> {
        let left = match (self.left, self.offset.take()) {
            (None, _) => number
                .checked_mul(2)
                .filter(|numbers| *numbers >= 0)
                .ok_or(Fault::Range { field: "number of sparse runs", value: number })?,
            (Some(left), None) => {
                self.offset = Some(number);
                left - 1
            }
            (Some(left), Some(offset)) => {
                map.push(offset, number)?;
                left - 1
            }
        };
        self.left = Some(left);
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(size: i64, runs: &[(i64, i64)]) -> Result<Vec<Extent>, Fault> {
        let mut builder = MapBuilder::new(size)?;
        for (offset, length) in runs {
            builder.push(*offset, *length)?;
        }
        let stored = builder.stored;
        builder.finish(stored)
    }

    fn extent(offset: u64, length: u64) -> Extent {
        Extent { offset, length }
    }

    #[test]
    fn neighbours_melt_and_empty_runs_vanish() {
        let found = map(20, &[(0, 0), (1, 2), (3, 4), (9, 0), (9, 1), (20, 0)]).expect("a map");
        assert_eq!(found, [extent(1, 6), extent(9, 1)]);
    }

    #[test]
    fn impossible_maps_are_refused() {
        for runs in [
            &[(-1, 1)][..],
            &[(0, -1)],
            &[(19, 2)],
            &[(i64::MAX, i64::MAX)],
            &[(5, 1), (0, 1)],
            &[(0, 5), (4, 1)],
            &[(5, 0), (4, 1)],
        ] {
            assert!(matches!(map(20, runs), Err(Fault::Sparse(_))), "{runs:?}");
        }
        assert!(matches!(map(-1, &[]), Err(Fault::Range { .. })));
    }

    #[test]
    fn the_bytes_stored_must_fit() {
        let mut builder = MapBuilder::new(10).expect("a size");
        builder.push(0, 5).expect("a run");
        assert!(matches!(builder.finish(6), Err(Fault::Sparse(_))));
    }

    fn text(lines: &str, size: i64) -> Result<(usize, Vec<Extent>), Fault> {
        let mut builder = MapBuilder::new(size)?;
        let mut text = MapText::default();
        let mut blocks = 0;
        for chunk in lines.as_bytes().chunks(BLOCK) {
            let mut block = [0; BLOCK];
            block[..chunk.len()].copy_from_slice(chunk);
            blocks += 1;
            if text.read_block(&block, &mut builder)? {
                let stored = builder.stored;
                return Ok((blocks, builder.finish(stored)?));
            }
        }
        Err(Fault::Truncated)
    }

    #[test]
    fn a_text_map_may_cross_blocks() {
        let lines: String = (0..100).map(|run| format!("{}\n1\n", run * 1000)).collect();
        let (blocks, runs) = text(&format!("100\n{lines}"), 1_000_000).expect("a map");
        assert_eq!((blocks, runs.len()), (2, 100));
        assert_eq!(text("0\n", 7), Ok((1, vec![])));
    }

    #[test]
    fn bad_text_maps_are_refused() {
        for lines in ["-1\n", "9223372036854775807\n", "x\n", "\n", "1\n0\n\n", "1\n 0\n1\n"] {
            assert!(text(lines, 10).is_err(), "{lines:?}");
        }
        assert!(text(&"0".repeat(40), 10).is_err());
    }
}
