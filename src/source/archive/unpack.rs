//! Makes an archive readable in place: a compressed one, or one that comes through a pipe, is
//! copied into a temporary file without a name. Bounded as a layer is, so that a small file cannot
//! fill the disk (CVE-2017-14992); runs of zeros, which may be long, become holes.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek};
use std::os::unix::fs::FileExt as _;

use crate::codec::Decoded;
use crate::oci::Compression;
use crate::source::Options;
use crate::sys::tmpfile;

/// Bytes read and written at once.
const PIECE: usize = 256 << 10;

/// Bytes that are a hole when they are all zeros.
const BLOCK: usize = 4096;

/// `file` itself when it is a regular file that is not compressed, or else a copy that is.
pub(super) fn plain(mut file: File, options: &Options) -> io::Result<File> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if metadata.is_file() {
        let mut start = [0; Compression::MAGIC];
        let count = file.read_at(&mut start, 0)?;
        if Compression::of(start.get(..count).unwrap_or_default()) == Compression::None {
            return Ok(file);
        }
        file.rewind()?;
    }
    // All of them, or whoever looks at the first bytes would take a slow pipe for a short one.
    let mut magic = Vec::new();
    (&mut file).take(Compression::MAGIC as u64).read_to_end(&mut magic)?;
    let packed = BufReader::with_capacity(PIECE, io::Cursor::new(magic).chain(file));
    let target = tmpfile::unnamed(&options.temporary)?;
    copy(Decoded::new(packed, &options.limits)?, &target)?;
    Ok(target)
}

/// Copies a stream to the beginning of an empty file.
fn copy(mut from: impl Read, to: &File) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut offset = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return to.set_len(offset),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = buffer.get(..count).unwrap_or_default();
        let mut rest = piece;
        while !rest.is_empty() {
            let is_zero = |block: &&[u8]| block.iter().all(|byte| *byte == 0);
            let written = rest.chunks(BLOCK).take_while(|block| !is_zero(block)).count();
            let (bytes, after) = rest.split_at(rest.len().min(written * BLOCK));
            to.write_all_at(bytes, offset)?;
            let zeros = after.chunks(BLOCK).take_while(is_zero).map(<[u8]>::len).sum();
            rest = after.get(zeros..).unwrap_or_default();
            offset += (bytes.len() + zeros) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn runs_of_zeros_become_holes() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut bytes = vec![0; 8 << 20];
        bytes[100] = 1;
        bytes[(4 << 20) - 1] = 2;
        let path = directory.path().join("archive");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut encoder, &bytes).expect("in memory");
        std::fs::write(&path, encoder.finish().expect("in memory")).expect("it fits");
        let options = Options { temporary: directory.path().into(), ..Options::default() };
        let mut copy = plain(File::open(&path).expect("it is there"), &options).expect("gzip");
        assert!(copy.metadata().expect("a file").blocks() * 512 < 1 << 20, "it has holes");
        let mut found = Vec::new();
        copy.read_to_end(&mut found).expect("it can be read");
        assert!(found == bytes);
        assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1);
    }
}
