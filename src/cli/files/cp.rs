//! `cp`: files of an image to a directory, or as a tar to a pipe.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::{browse_error, open, refuse_terminal, to_pipe};
use crate::browse::{self, Copied, CopyOptions, Node};
use crate::cli::args::{Copy, Wanted};
use crate::cli::context::Context;
use crate::cli::error::{Error, status};

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
}
