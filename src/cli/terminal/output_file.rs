//! A file that a command writes (`-o FILE`): complete, or as it was.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::cli::error::Error;

/// Writes a file under another name first, so that a failed command leaves the old one.
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
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let file = File::create_new(&part).map_err(at)?;
    let written = {
        let mut out = BufWriter::with_capacity(1 << 16, file);
        write(&mut out).map_err(Into::into)
    };
    let finished = written.and_then(|()| std::fs::rename(&part, path).map_err(at));
    finished.inspect_err(|_| {
        // The first error is the one to report.
        let _ = std::fs::remove_file(&part);
    })
}
