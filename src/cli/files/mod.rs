//! Commands about the files of an image, without a mount: `files`, `cat`, `cp`, `export`.
//!
//! Each opens the image as a mount does, fetched when it is missing, and reads it through
//! [`crate::browse`]. A path that is not there is an error that says what is near. A tar is never
//! written to a terminal.

pub mod cat;
pub mod cp;
pub mod export;
#[allow(clippy::module_inception)] // a command is in the file of its name
pub mod files;

use std::ffi::OsStr;
use std::io::{self, BufWriter, IsTerminal, Write};

use crate::browse::{self, Browser};
use crate::cli::args::Wanted;
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::mounts::mount::image;
use crate::cli::terminal::cut_off;
use crate::mount::View;
use crate::store::Hold;

/// An image whose files can be read.
pub struct Opened {
    /// Its files.
    pub browser: Browser,
    /// Keeps them in the store.
    _hold: Hold,
}

/// Opens the image that the user wants, fetched when it is missing.
pub fn open(context: &mut Context, wanted: &Wanted) -> Result<Opened, Error> {
    let store = context.store()?;
    let (image, _held) = image(context, wanted)?;
    let view = View::of(&store, &image, &image.id.to_string())?;
    Ok(Opened { browser: Browser::open(store, view.tree, view.layers), _hold: view.hold })
}

/// An error about `path` of `image`, with what to do about it.
pub fn browse_error(error: browse::Error, browser: &Browser, path: &[u8], image: &OsStr) -> Error {
    use browse::Error::{Absent, Dangling, IsDirectory, NotDirectory};
    let directory = match &error {
        Absent { .. } | Dangling { .. } | NotDirectory { .. } => browser.nearest(path),
        IsDirectory { .. } => path.to_vec(),
        _ => return error.into(),
    };
    let directory = String::from_utf8_lossy(&directory);
    let directory = directory.trim_matches('/');
    Error::from(error)
        .hint(format!("`shale files {} /{directory}` lists what there is", image.to_string_lossy()))
}

/// A tar is nothing to show.
fn refuse_terminal() -> Result<(), Error> {
    if !io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Error::failed("standard output is a terminal, and a tar is not for reading")
        .hint("say where it goes with `-o FILE`, or send it through a pipe"))
}

/// Writes to standard output.
fn to_pipe(write: impl FnOnce(&mut dyn Write) -> Result<(), browse::Error>) -> Result<(), Error> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match write(&mut out) {
        Err(browse::Error::Write(error)) => Err(cut_off(error)),
        other => Ok(other?),
    }
}
