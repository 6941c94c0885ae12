//! One header block of 512 bytes: the formats, the checksum, the fields.
//!
//! ```text
//!   0 name 100 | 100 mode 8 | 108 uid 8 | 116 gid 8 | 124 size 12 | 136 mtime 12 | 148 checksum 8
//! 156 type 1   | 157 link 100 | 257 magic 6, version 2 | 265 owner 32 | 297 group 32
//! 329 major 8  | 337 minor 8  | then, by format:
//!     ustar  345 prefix 155
//!     star   345 prefix 131 | 476 atime 12 | 488 ctime 12 | 508 "tar\0"
//!     GNU    345 atime 12 | 357 ctime 12 | 386 four sparse runs of 24 | 482 more | 483 real size 12
//! ```
//!
//! Every number is read whether it is needed or not, because Go refuses a header with an
//! unreadable one. Nothing here is cleaned or judged against a type.

use super::error::Fault;
use super::number::{numeric, octal};
use super::path::RawName;

/// Bytes of a block.
pub const BLOCK: usize = 512;

/// A block.
pub type Block = [u8; BLOCK];

/// Which family of tars wrote a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Before POSIX: no magic, no devices.
    V7,
    /// POSIX, with or without PAX extensions.
    Ustar,
    /// GNU, old and new.
    Gnu,
    /// Schilling's star.
    Star,
}

/// A header whose checksum holds and whose numbers could be read.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// The block it was read from.
    pub block: &'a Block,
    /// Who wrote it.
    pub format: Format,
    /// The name, with the prefix if there is one.
    pub name: RawName<'a>,
    /// The entry type.
    pub typeflag: u8,
    /// Bytes of data that follow, if the type has data.
    pub size: i64,
    /// Permission bits, and perhaps more.
    pub mode: i64,
    /// Owner.
    pub uid: i64,
    /// Group.
    pub gid: i64,
    /// Modification time in seconds.
    pub mtime: i64,
    /// Major and minor device number; zeros in the old format.
    pub device: (i64, i64),
}

impl<'a> Header<'a> {
    /// Reads a block that is not all zeros.
    pub fn parse(block: &'a Block) -> Result<Self, Fault> {
        if !checksum_holds(block) {
            return Err(Fault::Checksum);
        }
        let format = format_of(block);
        let mut header = Self {
            block,
            format,
            name: RawName::whole(text(&block[..100])),
            typeflag: block[156],
            size: number(&block[124..136], "size")?,
            mode: number(&block[100..108], "mode")?,
            uid: number(&block[108..116], "uid")?,
            gid: number(&block[116..124], "gid")?,
            mtime: number(&block[136..148], "mtime")?,
            device: (0, 0),
        };
        if format != Format::V7 {
            header.device =
                (number(&block[329..337], "devmajor")?, number(&block[337..345], "devminor")?);
        }
        header.name.prefix = match format {
            Format::V7 => b"",
            Format::Ustar => text(&block[345..500]),
            Format::Star => {
                number(&block[476..488], "atime")?;
                number(&block[488..500], "ctime")?;
                text(&block[345..476])
            }
            Format::Gnu => go_prefix(block),
        };
        Ok(header)
    }

    /// The link field.
    pub fn link(&self) -> &'a [u8] {
        text(&self.block[157..257])
    }
}

/// The bytes before the first NUL.
pub fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    field.get(..end).unwrap_or(field)
}

fn number(field: &[u8], name: &'static str) -> Result<i64, Fault> {
    numeric(field).ok_or(Fault::Number { field: name })
}

fn format_of(block: &Block) -> Format {
    match &block[257..263] {
        b"ustar\0" if &block[508..] == b"tar\0" => Format::Star,
        b"ustar\0" => Format::Ustar,
        b"ustar " if &block[263..265] == b" \0" => Format::Gnu,
        _ => Format::V7,
    }
}

/// Go before 1.8 wrote a ustar prefix into GNU headers, over the times; images of that age still
/// exist. So: times that cannot be read and ASCII text in their place are a prefix.
fn go_prefix(block: &Block) -> &[u8] {
    let readable = |field: &[u8]| field.first() == Some(&0) || numeric(field).is_some();
    if readable(&block[345..357]) && readable(&block[357..369]) {
        return b"";
    }
    let prefix = text(&block[345..500]);
    if prefix.is_ascii() { prefix } else { b"" }
}

/// POSIX sums unsigned bytes, Sun's tar summed signed ones; the checksum field counts as spaces.
fn checksum_holds(block: &Block) -> bool {
    let Some(said) = octal(&block[148..156]) else { return false };
    let field: u32 = block[148..156].iter().map(|byte| u32::from(*byte)).sum();
    let unsigned = sum(block) + 8 * u32::from(b' ') - field;
    if said == i64::from(unsigned) {
        return true;
    }
    let high = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(byte >> 7)).sum::<u32>();
    let high = high(&block[..148]) + high(&block[156..]);
    said == i64::from(unsigned) - 256 * i64::from(high)
}

/// The sum of all bytes: eight at a time, in two words of four 16-bit lanes, none of which can
/// overflow (64 x 255).
fn sum(block: &Block) -> u32 {
    const LANES: u64 = 0x00ff_00ff_00ff_00ff;
    let (words, _) = block.as_chunks::<8>();
    let (even, odd) = words.iter().fold((0_u64, 0_u64), |(even, odd), word| {
        let word = u64::from_le_bytes(*word);
        (even + (word & LANES), odd + (word >> 8 & LANES))
    });
    [even, odd]
        .iter()
        .flat_map(|lanes| (0..4).map(move |lane| lanes >> (16 * lane) & 0xffff))
        .map(|lane| u32::try_from(lane).unwrap_or_default())
        .sum()
}
