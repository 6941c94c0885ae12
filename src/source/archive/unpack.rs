//! Makes an archive readable in place: a compressed one, or one that comes through a pipe, is
//! copied into a temporary file without a name. Bounded as a layer is, so that a small file cannot
//! fill the disk (CVE-2017-14992).

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::FileExt as _;

use crate::codec::Decoded;
use crate::oci::Compression;
use crate::source::Options;
use crate::sys::tmpfile;

/// Bytes read and written at once.
const PIECE: usize = 256 << 10;

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
    let mut target = tmpfile::unnamed(&options.temporary)?;
    let unpacked = Decoded::new(packed, &options.limits)?;
    io::copy(&mut BufReader::with_capacity(PIECE, unpacked), &mut target)?;
    Ok(target)
}
