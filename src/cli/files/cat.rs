//! `cat`: files of an image on standard output.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{browse_error, open};
use crate::browse::Browser;
use crate::cli::args::Cat;
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::terminal::{Output, escape_lines};

/// `shale cat`: goes on past errors.
pub fn cat(context: &mut Context, args: &Cat) -> Result<(), Error> {
    let opened = open(context, &args.wanted)?;
    let mut failed = None;
    for path in &args.paths {
        match print_file(&mut context.out, &opened.browser, path.as_bytes(), &args.wanted.image) {
            Err(Error::ClosedPipe) => return Err(Error::ClosedPipe),
            Err(error) => {
                failed = failed.max(Some(error.status()));
                context.out.error(&error);
            }
            Ok(()) => {}
        }
    }
    failed.map_or(Ok(()), |status| Err(Error::Said { status }))
}

fn print_file(
    out: &mut Output,
    browser: &Browser,
    path: &[u8],
    image: &OsStr,
) -> Result<(), Error> {
    let found = browser.find(path, true).and_then(|node| {
        let file = browser.file(&node)?;
        Ok((node, file))
    });
    let (node, file) = found.map_err(|error| browse_error(error, browser, path, image))?;
    let mut shown = Shown::default();
    browser.pieces(&node.path, &file, (0, file.size), |piece| {
        if out.is_terminal() { out.raw(shown.piece(piece).as_bytes()) } else { out.raw(piece) }
    })?;
    out.raw(shown.rest().as_bytes())
}

/// Bytes made harmless for a terminal, piece by piece.
#[derive(Default)]
struct Shown {
    /// The beginning of a character whose end is in the next piece.
    begun: Vec<u8>,
}

impl Shown {
    fn piece(&mut self, piece: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.begun);
        bytes.extend_from_slice(piece);
        // No more than three bytes can be the beginning of a character.
        let tail = bytes.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
        let cut = match std::str::from_utf8(bytes.get(bytes.len() - tail..).unwrap_or_default()) {
            Err(error) if error.error_len().is_none() => bytes.len() - tail,
            _ => bytes.len(),
        };
        self.begun = bytes.split_off(cut);
        shown(&bytes)
    }

    fn rest(&mut self) -> String {
        shown(&std::mem::take(&mut self.begun))
    }
}

/// Text with its lines, everything else that is not printable escaped.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&escape_lines(chunk.valid()));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_survive_the_end_of_a_piece() {
        let text = "a\tö\x1b[2J\n日本\u{202e}".as_bytes();
        for cut in 0..=text.len() {
            let (mut shown, (one, two)) = (Shown::default(), text.split_at(cut));
            let all = [shown.piece(one), shown.piece(two), shown.rest()].concat();
            assert_eq!(all, "a\tö\\u{1b}[2J\n日本\\u{202e}", "cut at {cut}");
        }
        let mut broken = Shown::default();
        assert_eq!(broken.piece(b"\xff\xe6\x97") + &broken.rest(), "\\xff\\xe6\\x97");
    }
}
