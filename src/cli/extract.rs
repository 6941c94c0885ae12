//! `cat`, `cp` and `export`: bytes of an image without a mount.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::archive::{cut_off, write_file};
use super::args::{Cat, Copy, Export, Wanted};
use super::context::Context;
use super::error::{Error, status};
use super::escape::escape_lines;
use super::mounts::image;
use super::output::Output;
use crate::browse::{self, Browser, Copied, CopyOptions, Node};
use crate::mount::View;
use crate::store::Lease;

/// An image whose files can be read.
pub struct Opened {
    /// Its files.
    pub browser: Browser,
    /// Keeps them in the store.
    _lease: Lease,
}

/// Opens the image that the user wants, fetched when it is missing.
pub fn open(context: &mut Context, wanted: &Wanted) -> Result<Opened, Error> {
    let store = context.store()?;
    let (image, _held) = image(context, wanted)?;
    let view = View::of(&store, &image, &image.id.to_string())?;
    Ok(Opened { browser: Browser::open(store, view.tree, view.layers), _lease: view.lease })
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

/// `shale cp`
pub fn copy(context: &mut Context, args: &Copy) -> Result<(), Error> {
    let (reference, path) = split(&args.source)?;
    let wanted = Wanted { image: reference, fetching: args.fetching.clone() };
    let to_stdout = args.destination.as_os_str() == "-";
    if to_stdout {
        refuse_terminal()?;
    }
    let opened = open(context, &wanted)?;
    let browser = &opened.browser;
    // `/a/.` is what is in the directory, as for cp and Docker.
    let contents = path.ends_with(b"/.");
    let node = browser
        .find(&path, args.follow_link || contents)
        .map_err(|error| browse_error(error, browser, &path, &wanted.image))?;
    let name = if contents { Vec::new() } else { last_name(&path, &node) };
    if to_stdout {
        let top = if name.is_empty() { b"." } else { name.as_slice() };
        return to_pipe(|out| browse::write_tar(browser, &node, top, out));
    }
    let options = CopyOptions { archive: args.archive, contents };
    let copied = browse::copy(browser, &node, &name, &args.destination, options)?;
    report(context, &copied)
}

/// Splits `IMAGE:PATH` at the first `:/` that does not belong to the image's own prefix: a
/// reference cannot hold it.
fn split(source: &OsStr) -> Result<(OsString, Vec<u8>), Error> {
    const PREFIXES: [&[u8]; 4] = [b"docker://", b"oci:", b"oci-archive:", b"docker-archive:"];
    let bytes = source.as_bytes();
    let prefix = PREFIXES.iter().find(|prefix| bytes.starts_with(prefix)).map_or(0, |p| p.len());
    let rest = bytes.get(prefix..).unwrap_or_default();
    let at = rest.windows(2).position(|two| two == b":/").filter(|&at| at > 0);
    let Some(at) = at.map(|at| at + prefix) else {
        let shown = source.to_string_lossy();
        return Err(Error::usage(format!("{shown}: no path in the image"))
            .hint("write IMAGE:PATH with a path that begins with `/`, as in `debian:12:/etc`"));
    };
    let (image, path) = bytes.split_at(at);
    Ok((OsString::from_vec(image.to_vec()), path.get(1..).unwrap_or_default().to_vec()))
}

/// What a copy is called: the name that was asked for; empty for the root.
fn last_name(path: &[u8], node: &Node) -> Vec<u8> {
    let last = |path: &[u8]| {
        let mut names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        names.next_back().unwrap_or_default().to_vec()
    };
    let asked = last(path);
    if node.path.is_empty() || matches!(asked.as_slice(), b"." | b"..") {
        return last(&node.path);
    }
    asked
}

/// Says what is missing or could not be restored.
fn report(context: &mut Context, copied: &Copied) -> Result<(), Error> {
    let unrestored = &copied.unrestored;
    if unrestored.count > 0 {
        let things = if unrestored.count == 1 { "attribute" } else { "attributes" };
        context
            .out
            .message(&format!("{} {things} could not be restored, such as", unrestored.count));
        for example in &unrestored.examples {
            context.out.message(&format!("  {example}"));
        }
    }
    let missing = &copied.missing;
    if missing.count == 0 {
        return Ok(());
    }
    for example in &missing.examples {
        context.out.error(&Error::failed(example));
    }
    let status = if copied.damaged { status::MISMATCH } else { status::FAILED };
    if missing.count == missing.examples.len() as u64 && !copied.damaged {
        return Err(Error::Said { status });
    }
    let hint = copied.damaged.then(|| "pull the image again to heal it".to_owned());
    let things = if missing.count == 1 { "file was" } else { "files were" };
    Err(Error::Failed { message: format!("{} {things} not copied", missing.count), hint, status })
}

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

fn refuse_terminal() -> Result<(), Error> {
    if !io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Error::failed("standard output is a terminal, and a tar is not for reading")
        .hint("say where it goes with `-o FILE`, or send it through a pipe"))
}

fn to_pipe(write: impl FnOnce(&mut dyn Write) -> Result<(), browse::Error>) -> Result<(), Error> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match write(&mut out) {
        Err(browse::Error::Write(error)) => Err(cut_off(error)),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_paths_are_told_apart() {
        for (text, image, path) in [
            ("debian:/etc", "debian", "/etc"),
            ("debian:12:/etc/a:/b", "debian:12", "/etc/a:/b"),
            ("localhost:5000/x:/etc", "localhost:5000/x", "/etc"),
            ("localhost:5000/x:v1:/", "localhost:5000/x:v1", "/"),
            ("x@sha256:00:/a", "x@sha256:00", "/a"),
            ("docker://debian:12:/etc", "docker://debian:12", "/etc"),
            ("oci:/a/layout:v1:/etc", "oci:/a/layout:v1", "/etc"),
            ("oci:./layout:/etc", "oci:./layout", "/etc"),
            ("docker-archive:/a.tar:debian:12:/etc", "docker-archive:/a.tar:debian:12", "/etc"),
        ] {
            let (reference, inside) = split(OsStr::new(text)).expect(text);
            assert_eq!((reference.to_str(), inside.as_slice()), (Some(image), path.as_bytes()));
        }
        for text in ["debian", "debian:12", "debian:etc", ":/etc", "/etc", "oci:/a/b", ""] {
            let error = split(OsStr::new(text)).expect_err(text);
            assert_eq!(error.status(), status::USAGE, "{text}");
        }
    }

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
