//! Headers of tar entries: the ustar block, and before it a PAX block for what does not fit.
//!
//! ```text
//! [ PAX header "x" | records: LENGTH KEY=VALUE\n ... | padding ]   only when something needs it
//! [ header: name, mode, owner, size, time, type, link, device   ]
//! ```
//!
//! A record stands for a name over 100 bytes (that the prefix field cannot help), a number over
//! seven octal digits, a size of 8 GiB and more, a time with a fraction or before 1970, holes and
//! extended attributes. The block then has the nearest that fits, for readers that know no
//! records. Names are bytes: those that are no UTF-8 make their records `hdrcharset=BINARY`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::acl;
use crate::layer::{Kind, Time};

/// The unit of a tar, in bytes.
pub(super) const BLOCK: usize = 512;

const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// The zeros that fill `length` up to whole blocks.
pub(super) fn padding(length: u64) -> &'static [u8] {
    let used = usize::try_from(length % BLOCK as u64).unwrap_or(0);
    let zeros = if used == 0 { 0 } else { BLOCK - used };
    ZEROS.get(..zeros).unwrap_or_default()
}

/// The largest number in seven and in eleven octal digits.
const SEVEN: u64 = 0o7_777_777;
const ELEVEN: u64 = 0o77_777_777_777;

/// An entry of the archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    /// Without the `/` that directories end with.
    pub name: &'a [u8],
    /// Text of a symlink, first name of a hard link.
    pub link: &'a [u8],
    pub kind: Kind,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Time,
    pub device: (u32, u32),
    /// Bytes that follow in the archive.
    pub stored: u64,
    /// The size of a sparse file; its bytes begin with the map.
    pub real_size: Option<u64>,
    pub xattrs: &'a [(&'a [u8], &'a [u8])],
}

impl Head<'_> {
    /// Appends the header, and before it the records that it needs.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut name = self.name.to_vec();
        if self.kind == Kind::Directory {
            name.push(b'/');
        }
        let records = self.records(&name);
        if !records.is_empty() {
            let last = self.name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            let mut block = Block::new(&[b"PaxHeaders/", last].concat(), b'x');
            block.number(100, 0o644, SEVEN);
            block.long_number(124, records.len() as u64);
            block.long_number(136, 0);
            block.finish(out);
            out.extend_from_slice(&records);
            out.extend_from_slice(padding(records.len() as u64));
        }
        let name = if self.real_size.is_some() { sparse_name(&name) } else { name };
        let mut block = Block::new(&name, type_flag(self.kind));
        block.number(100, self.mode.into(), SEVEN);
        block.number(108, self.uid.into(), SEVEN);
        block.number(116, self.gid.into(), SEVEN);
        block.long_number(124, self.stored);
        block.long_number(136, u64::try_from(self.mtime.seconds).unwrap_or(0));
        block.put(157, self.link, 100);
        if matches!(self.kind, Kind::CharDevice | Kind::BlockDevice) {
            block.number(329, self.device.0.into(), u64::MAX);
            block.number(337, self.device.1.into(), u64::MAX);
        }
        block.finish(out);
    }

    /// The records, empty when the block holds everything.
    fn records(&self, name: &[u8]) -> Vec<u8> {
        let mut records = Vec::new();
        if let Some(size) = self.real_size {
            record(&mut records, b"GNU.sparse.major", b"1");
            record(&mut records, b"GNU.sparse.minor", b"0");
            record(&mut records, b"GNU.sparse.name", name);
            record(&mut records, b"GNU.sparse.realsize", size.to_string().as_bytes());
        } else if split(name).is_none() {
            record(&mut records, b"path", name);
        }
        if self.link.len() > 100 {
            record(&mut records, b"linkpath", self.link);
        }
        let numbers: [(&[u8], u64, u64); 3] = [
            (b"uid", self.uid.into(), SEVEN),
            (b"gid", self.gid.into(), SEVEN),
            (b"size", self.stored, ELEVEN),
        ];
        for (key, value, most) in numbers {
            if value > most {
                record(&mut records, key, value.to_string().as_bytes());
            }
        }
        let whole = u64::try_from(self.mtime.seconds).is_ok_and(|seconds| seconds <= ELEVEN);
        if !whole || self.mtime.nanos > 0 {
            record(&mut records, b"mtime", decimal(self.mtime).as_bytes());
        }
        for (key, value) in self.xattrs {
            xattr(&mut records, key, value);
            if let Some((key, text)) = acl::record_key(key).zip(acl::text(value)) {
                record(&mut records, key, text.as_bytes());
            }
        }
        let named = [name, self.link].iter().any(|text| std::str::from_utf8(text).is_err());
        if named && !records.is_empty() {
            let mut charset = Vec::new();
            record(&mut charset, b"hdrcharset", b"BINARY");
            records.splice(0..0, charset);
        }
        records
    }
}

/// An attribute. A name with `=` cannot stand in a record: it has libarchive's form, coded.
fn xattr(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    if !key.contains(&b'=') {
        return record(records, &[b"SCHILY.xattr.", key].concat(), value);
    }
    let mut coded = String::from("LIBARCHIVE.xattr.");
    for &byte in key {
        if byte.is_ascii_graphic() && !matches!(byte, b'=' | b'%') {
            coded.push(char::from(byte));
        } else {
            coded.push_str(&format!("%{byte:02X}"));
        }
    }
    record(records, coded.as_bytes(), STANDARD_NO_PAD.encode(value).as_bytes());
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        records.extend_from_slice(part);
    }
}

/// A time as a decimal number: nanoseconds count forward, the digits of a negative one do not.
fn decimal(time: Time) -> String {
    let seconds = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let sign = if seconds < 0 { "-" } else { "" };
    let (whole, rest) =
        (seconds.unsigned_abs() / 1_000_000_000, seconds.unsigned_abs() % 1_000_000_000);
    let text = format!("{sign}{whole}.{rest:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn type_flag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// What a reader that knows no sparse files calls the map and the bytes.
fn sparse_name(name: &[u8]) -> Vec<u8> {
    let at = name.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    let (directory, last) = name.split_at(at);
    [directory, b"GNUSparseFile.0/", last].concat()
}

/// The prefix and the name, when they hold the whole.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 {
        return Some((b"", name));
    }
    // The last byte is no place to split: a directory's name ends with a slash.
    let slashes = name.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
    let mut places = slashes.map(|(at, _)| at).filter(|&at| at + 1 < name.len());
    let at = places.find(|&at| name.len() - at - 1 <= 100).filter(|&at| at <= 155 && at > 0)?;
    Some((name.get(..at)?, name.get(at + 1..)?))
}

/// A header block on its way.
struct Block([u8; BLOCK]);

impl Block {
    fn new(name: &[u8], kind: u8) -> Self {
        let mut block = Self(ZEROS);
        let (prefix, name) = split(name).unwrap_or((b"", name));
        block.put(0, name, 100);
        block.put(345, prefix, 155);
        block.put(148, b"        ", 8);
        block.put(156, &[kind], 1);
        block.put(257, b"ustar\x0000", 8);
        block.number(108, 0, SEVEN);
        block.number(116, 0, SEVEN);
        block.number(329, 0, SEVEN);
        block.number(337, 0, SEVEN);
        block
    }

    /// Puts as much of `bytes` as the field has room for.
    fn put(&mut self, at: usize, bytes: &[u8], room: usize) {
        let field = self.0.iter_mut().skip(at).take(room);
        for (place, byte) in field.zip(bytes) {
            *place = *byte;
        }
    }

    /// A field of eight bytes: octal, at most `most`, or above seven digits base 256.
    fn number(&mut self, at: usize, value: u64, most: u64) {
        let value = value.min(most);
        if value <= SEVEN {
            return self.put(at, format!("{value:07o}").as_bytes(), 8);
        }
        let mut bytes = value.to_be_bytes();
        bytes[0] |= 0x80;
        self.put(at, &bytes, 8);
    }

    /// A field of twelve bytes: octal, at most what it holds.
    fn long_number(&mut self, at: usize, value: u64) {
        self.put(at, format!("{:011o}", value.min(ELEVEN)).as_bytes(), 12);
    }

    fn finish(mut self, out: &mut Vec<u8>) {
        let sum: u32 = self.0.iter().map(|&byte| u32::from(byte)).sum();
        self.put(148, format!("{sum:06o}\0 ").as_bytes(), 8);
        out.extend_from_slice(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_their_own_length() {
        for (length, wanted) in [(1, "9 a=x"), (91, "99 a="), (92, "100 a="), (93, "101 a=")] {
            let mut records = Vec::new();
            record(&mut records, b"key", &vec![b'x'; length]);
            let text = String::from_utf8(records.clone()).expect("ASCII");
            let (number, _) = text.split_once(' ').expect("a length");
            assert_eq!(number.parse::<usize>().expect("a number"), records.len(), "{wanted}");
        }
    }

    #[test]
    fn times_are_decimal_numbers() {
        let shown = |seconds, nanos| decimal(Time { seconds, nanos });
        assert_eq!(shown(5, 0), "5");
        assert_eq!(shown(1, 500_000_000), "1.5");
        assert_eq!(shown(-2, 500_000_000), "-1.5");
        assert_eq!(shown(-1, 999_999_999), "-0.000000001");
        assert_eq!(shown(i64::MIN, 0), "-9223372036854775808");
    }

    #[test]
    fn names_are_split_where_both_halves_fit() {
        let long = |parts: &[usize]| {
            parts.iter().map(|&n| "n".repeat(n)).collect::<Vec<_>>().join("/").into_bytes()
        };
        for (name, fits) in [
            (long(&[100]), true),
            (long(&[101]), false),
            (long(&[155, 100]), true),
            (long(&[156, 100]), false),
            (long(&[155, 101]), false),
            (long(&[50, 50, 50, 50]), true),
            ([long(&[101]), b"/".to_vec()].concat(), false),
        ] {
            let halves = split(&name);
            assert_eq!(halves.is_some(), fits, "{}", name.len());
            if let Some((prefix, rest)) = halves.filter(|(prefix, _)| !prefix.is_empty()) {
                assert!(prefix.len() <= 155 && rest.len() <= 100 && !rest.is_empty());
            }
        }
    }
}
