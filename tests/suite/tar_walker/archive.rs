//! Archives for tests, built byte by byte.
//!
//! Nothing here uses the walker's own code or a tar library, so a mistake in either cannot hide
//! in both.

use shalefs::layer::{Entry, Extent};
use shalefs::limits::Limits;

pub use super::walk::{Walk, walk};

/// Who a header pretends to be written by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Style {
    V7,
    Ustar,
    Gnu,
    Star,
}

/// A header block under construction; `block` has its checksum.
#[derive(Clone)]
pub struct Header {
    bytes: [u8; 512],
}

impl Header {
    /// A header of a file with mode 0644, owner 0 and no data.
    pub fn new(style: Style, name: &str, typeflag: u8) -> Self {
        let mut header = Self { bytes: [0; 512] };
        match style {
            Style::V7 => {}
            Style::Ustar => header.set(257, b"ustar\x0000"),
            Style::Gnu => header.set(257, b"ustar  \0"),
            Style::Star => {
                header.set(257, b"ustar\x0000");
                header.set(508, b"tar\0");
            }
        }
        header.set(0, name.as_bytes());
        header.set(100, b"0000644\0");
        header.set(108, b"0000000\0");
        header.set(116, b"0000000\0");
        header.set(136, b"00000000000\0");
        header.set(156, &[typeflag]);
        header.size(0)
    }

    /// Overwrites bytes anywhere.
    pub fn set(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// The same with these bytes overwritten.
    pub fn with(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.set(offset, bytes);
        self
    }

    pub fn size(self, size: u64) -> Self {
        self.with(124, format!("{size:011o}\0").as_bytes())
    }

    pub fn link(self, target: &str) -> Self {
        self.with(157, target.as_bytes())
    }

    /// The block with the usual checksum, the sum of unsigned bytes.
    pub fn block(&self) -> [u8; 512] {
        self.block_with(i64::from)
    }

    /// The block with the sum of signed bytes, as Sun's tar wrote it.
    pub fn block_signed(&self) -> [u8; 512] {
        self.block_with(|byte| i64::from(byte.cast_signed()))
    }

    fn block_with(&self, value: impl Fn(u8) -> i64) -> [u8; 512] {
        let mut block = self.bytes;
        block[148..156].fill(b' ');
        let sum: i64 = block.iter().map(|byte| value(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

/// An archive under construction.
#[derive(Clone, Default)]
pub struct Archive {
    pub bytes: Vec<u8>,
}

impl Archive {
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A header, then data padded to a block. The header's size is as the header says.
    pub fn member(self, header: &Header, data: &[u8]) -> Self {
        let padding = data.len().wrapping_neg() % 512;
        self.raw(&header.block()).raw(data).raw(&vec![0; padding])
    }

    /// A plain ustar file.
    pub fn file(self, name: &str, data: &[u8]) -> Self {
        self.member(&Header::new(Style::Ustar, name, b'0').size(data.len() as u64), data)
    }

    /// A member of some type whose data is read as an extension.
    pub fn extension(self, typeflag: u8, data: &[u8]) -> Self {
        self.member(&Header::new(Style::Ustar, "ext", typeflag).size(data.len() as u64), data)
    }

    /// A PAX header for the next member.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.extension(b'x', &pax_records(records))
    }

    /// The two blocks at the end.
    pub fn end(self) -> Self {
        self.raw(&[0; 1024])
    }

    pub fn walk(&self) -> Walk {
        walk(&self.bytes, Limits::default(), [self.bytes.len()])
    }
}

/// PAX records with their lengths.
pub fn pax_records(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (rest..).find(|length| rest + length.to_string().len() == *length);
        data.extend_from_slice(format!("{} {key}=", length.expect("a length")).as_bytes());
        data.extend_from_slice(value);
        data.push(b'\n');
    }
    data
}

/// The bytes of a file as a reader of the mounted image would see them.
pub fn content(archive: &[u8], entry: &Entry) -> Vec<u8> {
    let whole = [Extent { offset: 0, length: entry.size }];
    let mut content = vec![0; usize::try_from(entry.size).expect("a small file")];
    let mut at = usize::try_from(entry.data_offset).expect("a small archive");
    for run in entry.sparse.as_deref().unwrap_or(&whole) {
        let length = usize::try_from(run.length).expect("a small file");
        let start = usize::try_from(run.offset).expect("a small file");
        content[start..start + length].copy_from_slice(&archive[at..at + length]);
        at += length;
    }
    content
}
