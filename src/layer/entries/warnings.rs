//! Warnings as bytes: the number of the kind, then the path with its length; a zero at the end.

use std::io::{self, Read, Write};

use super::EntriesError;
use super::varint::{Input, put_bytes, put_unsigned};
use crate::layer::{Warning, WarningKind};

/// The longest path a warning names: that of an entry, which may not have been cleaned.
const PATH_LIMIT: usize = 1 << 20;

/// Writes warnings, each as soon as it is pushed.
#[derive(Debug)]
pub struct WarningWriter<W: Write> {
    out: W,
    count: u64,
}

impl<W: Write> WarningWriter<W> {
    /// A writer to `out`; every warning is one `write_all`.
    pub fn new(out: W) -> Self {
        Self { out, count: 0 }
    }

    /// Appends one warning. A path that is longer than any sensible one is cut.
    pub fn push(&mut self, warning: &Warning) -> io::Result<()> {
        let mut record = vec![warning.kind as u8];
        put_bytes(&mut record, warning.path.get(..PATH_LIMIT).unwrap_or(&warning.path));
        self.out.write_all(&record)?;
        self.count += 1;
        Ok(())
    }

    /// What was written so far and not taken away: a caller that cuts the stream into pieces
    /// empties it between entries.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes the end mark; gives back `out` and how many warnings there were.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        let mut record = vec![0];
        put_unsigned(&mut record, self.count);
        self.out.write_all(&record)?;
        Ok((self.out, self.count))
    }
}

/// Reads what a [`WarningWriter`] wrote; nothing follows the first error or the end mark.
#[derive(Debug)]
pub struct WarningReader<R: Read> {
    input: Input<R>,
    ended: bool,
}

impl<R: Read> WarningReader<R> {
    /// A reader of a section; it reads ahead, so `input` must end where the section does.
    pub fn new(input: R) -> Self {
        Self { input: Input::new(input), ended: false }
    }

    fn read(&mut self) -> Result<Option<Warning>, EntriesError> {
        let number = self.input.byte()?;
        if number == 0 {
            return self.input.end().map(|()| None);
        }
        let kind = WarningKind::from_number(number)
            .ok_or_else(|| self.input.damaged("an unknown kind of warning"))?;
        let path = self.input.bytes(PATH_LIMIT)?;
        self.input.position += 1;
        Ok(Some(Warning { kind, path }))
    }
}

impl<R: Read> Iterator for WarningReader<R> {
    type Item = Result<Warning, EntriesError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read().transpose();
        self.ended = !matches!(read, Some(Ok(_)));
        read
    }
}
