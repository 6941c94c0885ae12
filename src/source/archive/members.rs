//! Where the members of a tar are.
//!
//! Only what image archives need: names (ustar, GNU long names, PAX), links, and where the bytes
//! are. No byte of a member is read. The walker of `layer` is not used because it stands above this
//! module and yields contents, not positions.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use tar::{EntryType, Header};

const BLOCK: u64 = 512;
/// The largest extension (long name, PAX block) that is read.
const EXTENSION_LIMIT: u64 = 1024 * 1024;
/// More members than any image archive has.
const MEMBER_LIMIT: usize = 1_000_000;

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member {
    /// A file: a range of the archive.
    File {
        /// Of its first byte.
        offset: u64,
        /// In bytes.
        size: u64,
    },
    /// A symbolic or hard link to another member, resolved within the archive.
    Link(String),
}

/// Why a tar cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("byte {0}: no tar header (bad checksum)")]
    Checksum(u64),
    #[error("byte {0}: a number in the tar header is out of range")]
    Number(u64),
    #[error("byte {0}: truncated, the member goes on past the end of the file")]
    Truncated(u64),
    #[error("byte {0}: an extended header is larger than the limit of {EXTENSION_LIMIT} bytes")]
    Extension(u64),
    #[error("byte {0}: sparse members are not supported here")]
    Sparse(u64),
    #[error("more than {MEMBER_LIMIT} members")]
    TooMany,
}

/// All members by name; of members with one name the last, as unpacking would leave it.
#[derive(Debug, Default)]
pub(super) struct Members(HashMap<String, Member>);

/// What extensions say of the member that follows them.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Members {
    /// Reads all headers of `file`, which has `length` bytes.
    pub(super) fn scan(file: &File, length: u64) -> Result<Self, ScanError> {
        let mut members = Self::default();
        let mut extended = Extended::default();
        let mut position = 0;
        while position + BLOCK <= length {
            let mut header = Header::new_old();
            file.read_exact_at(header.as_mut_bytes(), position)?;
            if header.as_bytes().iter().all(|byte| *byte == 0) {
                break;
            }
            check_sum(&header, position)?;
            let kind = header.entry_type();
            let stated = header.entry_size().map_err(|_| ScanError::Number(position))?;
            let size = if has_data(kind) { extended.size.unwrap_or(stated) } else { 0 };
            let start = position + BLOCK;
            let end = start.checked_add(size).filter(|end| *end <= length);
            let end = end.ok_or(ScanError::Truncated(position))?;
            if kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions() {
                let body = body(file, start, size, position)?;
                extended.add(kind, &body, position)?;
            } else if kind == EntryType::GNUSparse {
                return Err(ScanError::Sparse(position));
            } else if !kind.is_pax_global_extensions() {
                members.add(&header, std::mem::take(&mut extended), start, size)?;
            }
            position = end.checked_next_multiple_of(BLOCK).ok_or(ScanError::Number(position))?;
        }
        Ok(members)
    }

    /// The member of a name in normal form.
    pub(super) fn get(&self, name: &str) -> Option<&Member> {
        self.0.get(name)
    }

    fn add(
        &mut self,
        header: &Header,
        extended: Extended,
        offset: u64,
        size: u64,
    ) -> Result<(), ScanError> {
        let name = extended.name.unwrap_or_else(|| header.path_bytes().into_owned());
        // Names that are not text belong to nothing that an image archive refers to.
        let Ok(name) = String::from_utf8(name) else { return Ok(()) };
        let kind = header.entry_type();
        let member = match kind {
            EntryType::Regular | EntryType::Continuous => Member::File { offset, size },
            EntryType::Link | EntryType::Symlink => {
                let target = extended
                    .link
                    .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
                let Some(Ok(target)) = target.map(String::from_utf8) else { return Ok(()) };
                let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                Member::Link(match kind {
                    EntryType::Symlink if !target.starts_with('/') => {
                        normal(&format!("{folder}/{target}"))
                    }
                    _ => normal(&target),
                })
            }
            _ => return Ok(()),
        };
        self.0.insert(normal(&name), member);
        if self.0.len() > MEMBER_LIMIT { Err(ScanError::TooMany) } else { Ok(()) }
    }
}

impl Extended {
    fn add(&mut self, kind: EntryType, body: &[u8], position: u64) -> Result<(), ScanError> {
        let text = || body.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        if kind.is_gnu_longname() {
            self.name = Some(text());
        } else if kind.is_gnu_longlink() {
            self.link = Some(text());
        } else {
            for (key, value) in pax_records(body) {
                match key {
                    b"path" => self.name = Some(value.to_vec()),
                    b"linkpath" => self.link = Some(value.to_vec()),
                    b"size" => {
                        let text =
                            std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                        self.size = Some(text.ok_or(ScanError::Number(position))?);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// The records `LENGTH KEY=VALUE\n` of a PAX block, up to the first that is none.
fn pax_records(mut body: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut records = Vec::new();
    while let Some(space) = body.iter().position(|byte| *byte == b' ') {
        let length = std::str::from_utf8(&body[..space]).ok().and_then(|text| text.parse().ok());
        let Some(record) = length.and_then(|length: usize| body.get(space + 1..length)) else {
            break;
        };
        let Some(equals) = record.iter().position(|byte| *byte == b'=') else { break };
        let value = &record[equals + 1..];
        records.push((&record[..equals], value.strip_suffix(b"\n").unwrap_or(value)));
        body = &body[space + 1 + record.len()..];
    }
    records
}

/// Links, folders and devices carry no data, whatever their size field says.
fn has_data(kind: EntryType) -> bool {
    !(kind.is_hard_link()
        || kind.is_symlink()
        || kind.is_dir()
        || kind.is_character_special()
        || kind.is_block_special()
        || kind.is_fifo())
}

fn body(file: &File, start: u64, size: u64, position: u64) -> Result<Vec<u8>, ScanError> {
    let length = usize::try_from(size).ok().filter(|_| size <= EXTENSION_LIMIT);
    let mut body = vec![0; length.ok_or(ScanError::Extension(position))?];
    file.read_exact_at(&mut body, start)?;
    Ok(body)
}

/// The sum of the header's bytes, its own field as spaces, signed or not.
fn check_sum(header: &Header, position: u64) -> Result<(), ScanError> {
    let bad = ScanError::Checksum(position);
    let Ok(stated) = header.cksum() else { return Err(bad) };
    let bytes = header.as_bytes();
    let field = 148..156;
    let outside = |(at, byte): (usize, &u8)| if field.contains(&at) { b' ' } else { *byte };
    let unsigned: u32 = bytes.iter().enumerate().map(outside).map(u32::from).sum();
    let signed: i64 =
        bytes.iter().enumerate().map(outside).map(|byte| i64::from(byte.cast_signed())).sum();
    if stated == unsigned || i64::from(stated) == signed { Ok(()) } else { Err(bad) }
}

/// A name without empty parts and `.`, and with `..` resolved within the archive.
pub(super) fn normal(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests;
