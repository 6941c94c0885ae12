//! An archive that a command writes: complete in its file (`-o FILE`), or the file as it was; through
//! a pipe complete too, or a failure.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::cli::error::Error;
use crate::sys::tmpfile::Unpublished;

/// Writes a file that gets its name when it is whole, so that a command that fails or is ended
/// leaves the old one, and nothing else.
pub fn write_file<E: Into<Error>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), Error> {
    let at = |error: io::Error| Error::io(path.display())(error);
    // A device or a pipe is written as it is.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        let mut out = BufWriter::new(File::options().write(true).open(path).map_err(at)?);
        return write(&mut out).map_err(Into::into);
    }
    let file = Unpublished::new(path).map_err(at)?;
    {
        let mut out = BufWriter::with_capacity(1 << 16, file.file());
        write(&mut out).map_err(Into::into)?;
        out.flush().map_err(at)?;
    }
    file.publish().map_err(at)
}

/// Standard output did not take all of an archive. Whoever closed it may not know that something is
/// missing, as they would of a list of lines.
pub fn cut_off(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => {
            Error::failed("standard output was closed before the archive was whole")
        }
        _ => Error::stdout(error),
    }
}
