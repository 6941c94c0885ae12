//! `diff --content`: a unified diff of one file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use similar::TextDiff;

use super::Args;
use crate::cli::context::Context;
use crate::cli::error::{Error, chain};
use crate::cli::images::layers::shown_path;
use crate::content::{Content, Options};
use crate::mount::View;
use crate::store::Store;
use crate::tree::{FileData, Resolved};

/// The largest file that is compared.
const SIZE_MAX: u64 = 64 << 20;

/// After this long the diff is not the shortest any more, but right.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints the diff, and says whether there is a difference. A file that one side does not have is
/// empty there.
pub(super) fn print(
    context: &mut Context,
    args: &Args,
    path: &OsStr,
    store: &Store,
    before: View,
    after: View,
) -> Result<bool, Error> {
    let path = path.as_bytes();
    let shown = shown_path(path.strip_prefix(b"/").unwrap_or(path));
    let files = (find(&before, path, &shown)?, find(&after, path, &shown)?);
    let (old, new) = match &files {
        (None, None) => return Err(Error::failed(format!("{shown}: neither image has it"))),
        (Some(old), Some(new)) if old.content == new.content => return Ok(false),
        (old, new) => {
            (read(store, before, old.as_ref(), &shown)?, read(store, after, new.as_ref(), &shown)?)
        }
    };
    if old == new {
        return Ok(false);
    }
    if [&old, &new].iter().any(|bytes| bytes.contains(&0)) {
        context.out.line(&format!("Binary files {shown} differ"))?;
        return Ok(true);
    }
    let second = args.second.as_deref().unwrap_or(&args.first);
    let header = |image: &str, file: &Option<FileData>| match file {
        Some(_) => format!("{image}:{shown}"),
        None => "/dev/null".to_owned(),
    };
    let base = if args.second.is_some() { args.first.clone() } else { format!("{second} (base)") };
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(&old[..], &new[..]);
    let mut text = Vec::new();
    diff.unified_diff()
        .header(&header(&base, &files.0), &header(second, &files.1))
        .to_writer(&mut text)
        .map_err(Error::stdout)?;
    match context.out.is_terminal() {
        true => context.out.data(&String::from_utf8_lossy(&text))?,
        false => context.out.raw(&text)?,
    }
    Ok(true)
}

/// The regular file that `path` leads to, links followed.
fn find(view: &View, path: &[u8], shown: &str) -> Result<Option<FileData>, Error> {
    let Resolved::At { row, .. } = view.tree.resolve(path, true)? else { return Ok(None) };
    match view.tree.file(row)? {
        Some(file) if file.size > SIZE_MAX => {
            Err(Error::failed(format!("{shown}: {} bytes, {SIZE_MAX} at most", file.size)))
        }
        Some(file) => Ok(Some(file)),
        None => Err(Error::failed(format!("{shown}: not a regular file"))
            .hint("without `--content`, `diff` compares what it is")),
    }
}

fn read(store: &Store, view: View, file: Option<&FileData>, shown: &str) -> Result<Vec<u8>, Error> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    let options = Options { extract_from: None, ..Options::default() };
    let length = usize::try_from(file.size).unwrap_or(usize::MAX);
    Content::open(store.clone(), view.layers, options)
        .read(file, 0, length, &mut bytes)
        .map_err(|error| Error::failed(format!("{shown}: {}", chain(&error))))?;
    Ok(bytes)
}
