//! Makes an archive readable in place: a compressed one, or one that comes through a pipe, is
//! copied into a temporary file without a name. Bounded like a layer: 64 GiB, and 1,000:1 after the
//! first 64 MiB, so that a small file cannot fill the disk (CVE-2017-14992).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::oci::Compression;

const SIZE_LIMIT: u64 = 64 << 30;
const RATIO_LIMIT: u64 = 1000;
const RATIO_FREE: u64 = 64 << 20;
/// Enough for every magic.
const MAGIC: usize = 6;

/// `file` itself when it is a regular file that is not compressed, or else a copy that is.
pub(super) fn plain(mut file: File, folder: &Path) -> io::Result<File> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut magic = Vec::new();
    if metadata.is_file() {
        let mut start = [0; MAGIC];
        let count = file.read_at(&mut start, 0)?;
        magic.extend_from_slice(&start[..count]);
        if Compression::of_magic(&magic) == Compression::None {
            return Ok(file);
        }
        file.rewind()?;
        magic.clear();
    }
    (&mut file).take(MAGIC as u64).read_to_end(&mut magic)?;
    let compression = Compression::of_magic(&magic);
    let packed = Counted { inner: io::Cursor::new(magic).chain(file), count: 0 };
    let mut target = nameless(folder)?;
    copy(compression, packed, &mut target)?;
    Ok(target)
}

/// Counts what was read of the compressed file, to know the ratio.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

fn copy<R: Read>(kind: Compression, packed: Counted<R>, target: &mut File) -> io::Result<()> {
    match kind {
        Compression::None => pump(packed, target, |packed| packed.count),
        Compression::Gzip => {
            pump(flate2::read::MultiGzDecoder::new(packed), target, |d| d.get_ref().count)
        }
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(packed)?;
            decoder.window_log_max(27)?;
            pump(decoder, target, |decoder| decoder.get_ref().get_ref().count)
        }
        Compression::Bzip2 => {
            pump(bzip2::read::MultiBzDecoder::new(packed), target, |d| d.get_ref().count)
        }
        Compression::Xz => {
            pump(liblzma::read::XzDecoder::new_multi_decoder(packed), target, |decoder| {
                decoder.get_ref().count
            })
        }
    }
}

fn pump<R: Read>(mut from: R, to: &mut File, packed: impl Fn(&R) -> u64) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut written = 0_u64;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return to.flush(),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        written += count as u64;
        let ratio = packed(&from).saturating_mul(RATIO_LIMIT).max(RATIO_FREE);
        if written > SIZE_LIMIT || written > ratio {
            return Err(io::Error::other(format!(
                "unpacks to more than the limit ({} GiB, {RATIO_LIMIT}:1)",
                SIZE_LIMIT >> 30
            )));
        }
        to.write_all(&buffer[..count])?;
    }
}

/// A new file in `folder` that is already removed: nothing is left however the process ends.
fn nameless(folder: &Path) -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".shale-{}-{number}", process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return std::fs::remove_file(&path).map(|()| file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
