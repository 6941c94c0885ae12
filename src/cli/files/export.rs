//! `export`: all files of an image as one tar.

use std::path::Path;

use super::{open, refuse_terminal, to_pipe};
use crate::browse;
use crate::cli::args::Export;
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::terminal::write_file;

/// `shale export`
pub fn export(context: &mut Context, args: &Export) -> Result<(), Error> {
    if args.output.is_none() {
        refuse_terminal()?;
    }
    let opened = open(context, &args.wanted)?;
    let browser = &opened.browser;
    let root = browser.find(b"/", false)?;
    match &args.output {
        Some(path) => write_file(path, |out| {
            browse::write_tar(browser, &root, b".", out).map_err(|error| named(path, error))
        }),
        None => to_pipe(|out| browse::write_tar(browser, &root, b".", out)),
    }
}

/// An error of writing names the file.
fn named(path: &Path, error: browse::Error) -> Error {
    match error {
        browse::Error::Write(error) => Error::io(path.display())(error),
        other => other.into(),
    }
}
