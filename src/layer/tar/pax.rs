//! PAX extended headers: records of the form `LENGTH KEY=VALUE\n`.
//!
//! The length counts the whole record, so a value may hold newlines and NULs; nothing here ever
//! searches for a newline. The last record of a key counts, and an empty value is as good as no
//! record at all: both as in Go. Values are kept as text and read only when an entry uses them,
//! because a number that a later record replaces may be nonsense.

use super::error::Fault;
use super::number;

/// A run of [`Records::bytes`]; empty means that there is no such record.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: usize,
    end: usize,
}

/// The keys whose single value somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The whole name.
    Path,
    /// The whole link target.
    Linkpath,
    /// Bytes of data that follow the entry's header.
    Size,
    /// Owner.
    Uid,
    /// Group.
    Gid,
    /// Modification time.
    Mtime,
    /// Access time; read because Go refuses a bad one.
    Atime,
    /// Change time; the same.
    Ctime,
    /// Version of the sparse format, before the point.
    SparseMajor,
    /// Version of the sparse format, after the point.
    SparseMinor,
    /// The name of a sparse file.
    SparseName,
    /// The logical size in formats 0.0 and 0.1.
    SparseSize,
    /// The logical size in format 1.0.
    SparseRealSize,
    /// How many runs the map has in formats 0.0 and 0.1.
    SparseBlocks,
    /// The map in format 0.1.
    SparseMap,
}

const KEYS: usize = Key::SparseMap as usize + 1;

/// Which program's spelling an extended attribute came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// `SCHILY.xattr.NAME`, the value as it is.
    Schily,
    /// `LIBARCHIVE.xattr.NAME`, the name in percent encoding and the value in base64.
    Libarchive,
}

/// The records of one extended header. Emptied and filled again for each, so it allocates little.
#[derive(Debug, Default)]
pub struct Records {
    bytes: Vec<u8>,
    values: [Span; KEYS],
    /// Offsets and lengths of sparse format 0.0 by turns, the only keys that repeat.
    runs: Vec<Span>,
    xattrs: Vec<(Dialect, Span, Span)>,
}

impl Records {
    /// Forgets all records.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.values = Default::default();
        self.runs.clear();
        self.xattrs.clear();
    }

    /// Reads the records of a whole extended header; those from before are forgotten.
    pub fn parse(&mut self, body: &[u8]) -> Result<(), Fault> {
        self.clear();
        self.bytes.extend_from_slice(body);
        let mut start = 0;
        while let Some(rest) = body.get(start..).filter(|rest| !rest.is_empty()) {
            let record = split_record(rest).ok_or(Fault::PaxRecord)?;
            self.keep(record.key, start + record.value, start + record.length - 1)?;
            start += record.length;
        }
        Ok(())
    }

    /// The value of `key`; `None` when there is none or it is empty.
    pub fn value(&self, key: Key) -> Option<&[u8]> {
        let span = self.values.get(key as usize).copied().unwrap_or_default();
        Some(self.slice(span)).filter(|value| !value.is_empty())
    }

    /// The value of `key` as a number.
    pub fn number(&self, key: Key, field: &'static str) -> Result<Option<i64>, Fault> {
        let Some(value) = self.value(key) else { return Ok(None) };
        number::decimal(value).map(Some).ok_or(Fault::Number { field })
    }

    /// The offsets and lengths of sparse format 0.0, by turns.
    pub fn runs(&self) -> impl Iterator<Item = &[u8]> {
        self.runs.iter().map(|span| self.slice(*span))
    }

    /// Whether any record belongs to sparse format 0.0.
    pub fn has_runs(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Every extended attribute in the order of its record: dialect, name, value.
    pub fn xattrs(&self) -> impl Iterator<Item = (Dialect, &[u8], &[u8])> {
        self.xattrs
            .iter()
            .map(|(dialect, name, value)| (*dialect, self.slice(*name), self.slice(*value)))
    }

    fn slice(&self, span: Span) -> &[u8] {
        self.bytes.get(span.start..span.end).unwrap_or_default()
    }

    /// Files one record: `key` is its key, its value stands at `start..end`.
    fn keep(&mut self, key: &[u8], start: usize, end: usize) -> Result<(), Fault> {
        let value = Span { start, end };
        let has_nul = |bytes: &[u8]| bytes.contains(&0);
        if key.is_empty() || has_nul(key) {
            return Err(Fault::PaxRecord);
        }
        if matches!(key, b"path" | b"linkpath" | b"uname" | b"gname") && has_nul(self.slice(value))
        {
            return Err(Fault::NulInName);
        }
        let known = match key {
            b"path" => Key::Path,
            b"linkpath" => Key::Linkpath,
            b"size" => Key::Size,
            b"uid" => Key::Uid,
            b"gid" => Key::Gid,
            b"mtime" => Key::Mtime,
            b"atime" => Key::Atime,
            b"ctime" => Key::Ctime,
            b"GNU.sparse.major" => Key::SparseMajor,
            b"GNU.sparse.minor" => Key::SparseMinor,
            b"GNU.sparse.name" => Key::SparseName,
            b"GNU.sparse.size" => Key::SparseSize,
            b"GNU.sparse.realsize" => Key::SparseRealSize,
            b"GNU.sparse.numblocks" => Key::SparseBlocks,
            b"GNU.sparse.map" => Key::SparseMap,
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                return self.keep_run(key == b"GNU.sparse.offset", value);
            }
            _ => {
                self.keep_xattr(key, value);
                return Ok(());
            }
        };
        if let Some(place) = self.values.get_mut(known as usize) {
            *place = value;
        }
        Ok(())
    }

    fn keep_run(&mut self, is_offset: bool, value: Span) -> Result<(), Fault> {
        if is_offset != self.runs.len().is_multiple_of(2) {
            return Err(Fault::Sparse("an offset without a length or the other way round"));
        }
        self.runs.push(value);
        Ok(())
    }

    fn keep_xattr(&mut self, key: &[u8], value: Span) {
        for (prefix, dialect) in
            [("SCHILY.xattr.", Dialect::Schily), ("LIBARCHIVE.xattr.", Dialect::Libarchive)]
        {
            if let Some(name) = key.strip_prefix(prefix.as_bytes()) {
                // The key stands before the `=`, which stands before the value.
                let end = value.start - 1;
                self.xattrs.push((dialect, Span { start: end - name.len(), end }, value));
            }
        }
    }
}

/// One record at the beginning of some bytes.
struct Record<'a> {
    key: &'a [u8],
    /// Where the value begins; it ends one byte before `length`.
    value: usize,
    length: usize,
}

fn split_record(bytes: &[u8]) -> Option<Record<'_>> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(number::decimal(bytes.get(..space)?)?).ok()?;
    if length < 5 || bytes.get(length - 1) != Some(&b'\n') {
        return None;
    }
    let record = bytes.get(space + 1..length - 1)?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some(Record { key: record.get(..equals)?, value: space + 1 + equals + 1, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &[u8]) -> Result<Records, Fault> {
        let mut records = Records::default();
        records.parse(body).map(|()| records)
    }

    #[test]
    fn values_may_hold_newlines_equals_signs_and_nuls() {
        let body = b"33 SCHILY.xattr.user.a=1\n=2\0\n3,4\n12 path=a/b\n";
        let records = parsed(body).expect("two records");
        assert_eq!(records.value(Key::Path), Some(&b"a/b"[..]));
        let xattrs: Vec<_> = records.xattrs().collect();
        assert_eq!(xattrs, [(Dialect::Schily, &b"user.a"[..], &b"1\n=2\0\n3,4"[..])]);
    }

    #[test]
    fn the_last_record_counts_and_an_empty_one_deletes() {
        let records = parsed(b"8 uid=1\n8 uid=2\n8 gid=3\n7 gid=\n").expect("four records");
        assert_eq!(records.number(Key::Uid, "uid"), Ok(Some(2)));
        assert_eq!(records.number(Key::Gid, "gid"), Ok(None));
    }

    #[test]
    fn a_bad_number_counts_only_when_it_is_used() {
        let records = parsed(b"8 uid=x\n8 uid=2\n8 gid=x\n").expect("three records");
        assert_eq!(records.number(Key::Uid, "uid"), Ok(Some(2)));
        assert_eq!(records.number(Key::Gid, "gid"), Err(Fault::Number { field: "gid" }));
    }

    #[test]
    fn malformed_records_are_refused() {
        for body in [
            &b"8 uid=1"[..],
            b"8uid=1\n",
            b" uid=1\n",
            b"7 uid=1\n",
            b"9 uid=1\n",
            b"8 uid 1\n",
            b"-8 uid=1\n",
            b"4 =\n",
            b"00000005 a=\n",
            b"99999999999999999999 a=b\n",
            b"8 uid=1\n\0\0",
            b"9 u\0id=1\n",
            b"5 =1\n",
        ] {
            assert_eq!(parsed(body).err(), Some(Fault::PaxRecord), "{body:?}");
        }
        assert!(parsed(b"+9 uid=1\n").is_ok(), "Go's ParseInt takes a plus sign");
    }

    #[test]
    fn names_hold_no_nul() {
        for body in [&b"12 path=a\0b\n"[..], b"16 linkpath=a\0b\n", b"13 uname=a\0b\n"] {
            assert_eq!(parsed(body).err(), Some(Fault::NulInName), "{body:?}");
        }
    }

    #[test]
    fn sparse_runs_come_in_pairs() {
        let body = b"23 GNU.sparse.offset=0\n25 GNU.sparse.numbytes=1\n";
        assert_eq!(parsed(body).expect("a run").runs().count(), 2);
        let body = b"25 GNU.sparse.numbytes=1\n";
        assert!(matches!(parsed(body), Err(Fault::Sparse(_))));
    }
}
