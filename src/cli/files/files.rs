//! `files`: the names in an image, straight from its table.
//!
//! Printed while the table is walked, so a million of them take no memory; only `--format table`
//! must have all of them before it can set the columns. In a template a name is text: one that is
//! no UTF-8 is escaped there. In the plain form its bytes are left as they are.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use jiff::Timestamp;

use super::{browse_error, open};
use crate::browse::{self, Browser, Node};
use crate::cli::args::{Files, Wanted};
use crate::cli::context::Context;
use crate::cli::error::{Error, status};
use crate::cli::format::units::Time;
use crate::cli::format::{Columns, Format};
use crate::cli::terminal::Output;
use crate::cli::terminal::escape;
use crate::layer::Kind;
use crate::template::{Field, Struct, Value};
use crate::tree::{Attributes, RowNo};

/// `shale files`
pub fn files(context: &mut Context, args: &Files) -> Result<(), Error> {
    let columns = columns();
    let mut form = form(context, args, &columns)?;
    let opened = open(context, &args.wanted)?;
    let browser = &opened.browser;
    let root = [OsStr::new("/").to_owned()];
    let paths = if args.paths.is_empty() { &root[..] } else { &args.paths };
    let mut failed = None;
    for path in paths {
        let result = start(browser, path.as_bytes(), &args.wanted)
            .and_then(|node| list(&mut context.out, browser, &node, &mut form));
        match result {
            Err(error) if is_about_the_path(&error) => {
                failed = failed.max(Some(error.status()));
                context.out.error(&error);
            }
            other => other?,
        }
    }
    if let Form::Table(format, rows) = form {
        format.print(&mut context.out, &columns, rows)?;
    }
    failed.map_or(Ok(()), |status| Err(Error::Said { status }))
}

/// Whether the next path may have more luck.
fn is_about_the_path(error: &Error) -> bool {
    matches!(error, Error::Failed { status: status::FAILED, .. })
}

/// How a name is printed.
enum Form {
    Plain(u8),
    Long,
    Rows(Format),
    Table(Format, Vec<Value>),
}

fn form(context: &Context, args: &Files, columns: &Columns) -> Result<Form, Error> {
    if let Some(format) = &args.format {
        let format = Format::choose(Some(format), columns, None)?;
        return Ok(if format.is_table() {
            Form::Table(format, vec![])
        } else {
            Form::Rows(format)
        });
    }
    Ok(match () {
        () if args.null => Form::Plain(0),
        () if args.long && !context.quiet => Form::Long,
        () => Form::Plain(b'\n'),
    })
}

fn columns() -> Columns {
    Columns {
        row: "file",
        titles: &[
            ("Path", "PATH"),
            ("Type", "TYPE"),
            ("Mode", "MODE"),
            ("Perm", "PERM"),
            ("UID", "UID"),
            ("GID", "GID"),
            ("Size", "SIZE"),
            ("ModTime", "MODIFIED"),
            ("Links", "LINKS"),
            ("Target", "TARGET"),
            ("Device", "DEVICE"),
            ("Inode", "INODE"),
            ("Layer", "LAYER"),
        ],
        table: "{{.Mode}}\t{{.UID}}\t{{.GID}}\t{{.Size}}\t{{.ModTime}}\t{{.Path}}".to_owned(),
    }
}

/// What a path leads to; a link that leads nowhere is there itself.
fn start(browser: &Browser, path: &[u8], wanted: &Wanted) -> Result<Node, Error> {
    let found = browser.find(path, true);
    let found = match found {
        Err(browse::Error::Dangling { .. }) => browser.find(path, false),
        other => other,
    };
    found.map_err(|error| browse_error(error, browser, path, &wanted.image))
}

/// A name and all below it.
fn list(out: &mut Output, browser: &Browser, start: &Node, form: &mut Form) -> Result<(), Error> {
    let mut path = b"/".to_vec();
    let mut print = |inner: &[u8], entry: RowNo, row: RowNo| {
        path.truncate(1);
        path.extend_from_slice(inner);
        print(out, browser, form, &Name { path: &path, entry, row })
    };
    print(&start.path, start.entry, start.row)?;
    if start.attributes.kind != Kind::Directory {
        return Ok(());
    }
    let walked =
        browser.tree().walk(start.row, |path, child| match print(path, child.entry, child.row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        });
    match walked.map_err(browse::Error::Table)? {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// A name in the image.
struct Name<'a> {
    /// With its leading `/`.
    path: &'a [u8],
    entry: RowNo,
    row: RowNo,
}

fn print(out: &mut Output, browser: &Browser, form: &mut Form, name: &Name) -> Result<(), Error> {
    match form {
        Form::Plain(end) => {
            out.name(name.path)?;
            out.raw(&[*end])
        }
        Form::Long => {
            let attributes = attributes(browser, name)?;
            out.raw(long(&attributes).as_bytes())?;
            out.name(name.path)?;
            if attributes.kind == Kind::Symlink {
                out.raw(b" -> ")?;
                out.name(target(browser, name)?)?;
            }
            out.raw(b"\n")
        }
        Form::Rows(format) => format.print_row(out, &row(browser, name)?),
        Form::Table(_, rows) => {
            rows.push(row(browser, name)?);
            Ok(())
        }
    }
}

fn attributes(browser: &Browser, name: &Name) -> Result<Attributes, Error> {
    let found = browser.tree().attributes(name.row).map_err(browse::Error::Table)?;
    Ok(found.ok_or(browse::Error::NoRow(name.row))?)
}

fn target<'a>(browser: &'a Browser, name: &Name) -> Result<&'a [u8], Error> {
    Ok(browser.tree().link_text(name.row).map_err(browse::Error::Table)?)
}

/// Everything before the name, in widths that most files keep to.
fn long(attributes: &Attributes) -> String {
    let Attributes { links, uid, gid, size, .. } = attributes;
    let size = device(attributes).map_or_else(|| size.to_string(), |d| d.replace(':', ", "));
    let time = match timestamp(attributes) {
        Some(time) => Time(time).minutes(),
        None => format!("{:>16}", format!("@{}", attributes.mtime.seconds)),
    };
    format!("{} {links:>3} {uid:>5} {gid:>5} {size:>10} {time} ", mode(attributes))
}

fn timestamp(attributes: &Attributes) -> Option<Timestamp> {
    let whole = Timestamp::new(attributes.mtime.seconds, 0).ok()?;
    whole.checked_add(Duration::from_nanos(attributes.mtime.nanos.into())).ok()
}

fn device(attributes: &Attributes) -> Option<String> {
    let (major, minor) = attributes.device;
    let is_device = matches!(attributes.kind, Kind::CharDevice | Kind::BlockDevice);
    is_device.then(|| format!("{major}:{minor}"))
}

fn row(browser: &Browser, name: &Name) -> Result<Value, Error> {
    let attributes = attributes(browser, name)?;
    let layer = browser.tree().layer(name.entry).map_err(browse::Error::Table)?;
    let number = |value: u64| Value::Int(i64::try_from(value).unwrap_or(i64::MAX));
    let time = timestamp(&attributes).map(|time| Time(time).rfc3339_utc());
    let target = text(target(browser, name)?);
    Ok(Value::from(Struct::row(
        "file",
        vec![
            Field::new("Path", text(name.path)),
            Field::new("Type", kind(attributes.kind).1),
            Field::new("Mode", mode(&attributes)),
            Field::new("Perm", format!("{:04o}", attributes.mode)),
            Field::new("UID", number(attributes.uid.into())),
            Field::new("GID", number(attributes.gid.into())),
            Field::new("Size", number(attributes.size)),
            Field::new("ModTime", time.unwrap_or_else(|| format!("@{}", attributes.mtime.seconds))),
            Field::new("Links", number(attributes.links.into())),
            Field::optional("Target", target),
            Field::optional("Device", device(&attributes).unwrap_or_default()),
            Field::new("Inode", number(u64::from(name.row.0) + 1)),
            Field::new("Layer", number(layer.unwrap_or(0).into())),
        ],
    )))
}

/// Bytes as the text that a template sees.
fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| escape(bytes), str::to_owned)
}

/// The letter that `ls -l` has for it, and a word.
fn kind(kind: Kind) -> (char, &'static str) {
    match kind {
        Kind::Directory => ('d', "directory"),
        Kind::File | Kind::HardLink => ('-', "file"),
        Kind::Symlink => ('l', "symlink"),
        Kind::CharDevice => ('c', "char"),
        Kind::BlockDevice => ('b', "block"),
        Kind::Fifo => ('p', "fifo"),
    }
}

/// `drwxr-xr-x`, with the set-ID and sticky bits where `ls` has them.
fn mode(attributes: &Attributes) -> String {
    let mode = attributes.mode;
    let mut shown = String::from(kind(attributes.kind).0);
    for (shift, special, letters) in
        [(6, 0o4000, ['s', 'S']), (3, 0o2000, ['s', 'S']), (0, 0o1000, ['t', 'T'])]
    {
        let bits = mode >> shift;
        let executable = bits & 1 != 0;
        shown.push(if bits & 4 != 0 { 'r' } else { '-' });
        shown.push(if bits & 2 != 0 { 'w' } else { '-' });
        shown.push(match (mode & special != 0, executable) {
            (true, true) => letters[0],
            (true, false) => letters[1],
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, mode: u16, seconds: i64, nanos: u32) -> Attributes {
        let mtime = crate::layer::Time { seconds, nanos };
        let (size, stored, links, device) = (7, 7, 1, (8, 1));
        Attributes { kind, mode, uid: 0, gid: 5, mtime, size, stored, links, device }
    }

    #[test]
    fn modes_are_shown_as_ls_does() {
        for (kind, bits, wanted) in [
            (Kind::File, 0o644, "-rw-r--r--"),
            (Kind::Directory, 0o1777, "drwxrwxrwt"),
            (Kind::Directory, 0o2770, "drwxrws---"),
            (Kind::File, 0o6755, "-rwsr-sr-x"),
            (Kind::File, 0o7000, "---S--S--T"),
            (Kind::Symlink, 0o777, "lrwxrwxrwx"),
            (Kind::CharDevice, 0o620, "crw--w----"),
            (Kind::BlockDevice, 0, "b---------"),
            (Kind::Fifo, 0o111, "p--x--x--x"),
        ] {
            assert_eq!(mode(&of(kind, bits, 0, 0)), wanted);
        }
    }

    #[test]
    fn times_before_the_epoch_and_beyond_all_calendars() {
        let shown = |seconds, nanos| timestamp(&of(Kind::File, 0, seconds, nanos));
        assert_eq!(shown(-1, 500_000_000).expect("a time").to_string(), "1969-12-31T23:59:59.5Z");
        assert_eq!(shown(i64::MAX, 0), None);
        assert!(long(&of(Kind::File, 0, i64::MAX, 0)).contains("@9223372036854775807"));
        assert!(long(&of(Kind::CharDevice, 0, 0, 0)).contains("      8, 1 "));
    }
}
