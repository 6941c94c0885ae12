//! Commands on the files of an image, without a mount.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::complete;
use super::{Fetching, Wanted};

/// `shale files`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale files debian:12                          Every path, as `find` on a mount lists them
  shale files -l debian:12 /etc /usr/bin
  shale files -0 debian:12 /etc | xargs -0 -n1 echo
  shale files --format '{{.Size}} {{.Path}}' debian:12 | sort -n | tail
  shale files --format json debian:12 /etc

Links are followed inside the image. Names are printed as they are, and escaped on a terminal.

Fields:  .Path .Type .Mode .Perm .UID .GID .Size .ModTime .Links .Target .Device .Inode .Layer
         .Layer is the number of the layer that the name comes from, 0 at the bottom.")]
pub struct Files {
    /// Of which image.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Only these, and what is below them
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,
    /// Kind and mode, links, owner and group by number, size or device, time, and a link's text
    #[arg(short, long, conflicts_with = "format")]
    pub long: bool,
    /// End each name with a NUL instead of a newline, for `xargs -0`
    #[arg(short = '0', long, conflicts_with_all = ["format", "long"])]
    pub null: bool,
    /// A Go template, `table TEMPLATE`, or `json`
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
}

/// `shale cat`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale cat debian:12 /etc/os-release
  shale cat node:22 /usr/local/bin/node | sha256sum

Links are followed inside the image. On a terminal what is not printable is escaped.")]
pub struct Cat {
    /// Of which image.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Which files
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<OsString>,
}

/// `shale cp`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale cp debian:12:/etc/os-release .           Into a directory
  shale cp debian:12:/etc/passwd ./users         Under another name
  shale cp -a debian:12:/usr/share ./share       A directory that is not there yet: its contents
  shale cp -a debian:12:/. ./root                Contents, into a directory that may be there
  shale cp debian:12:/etc - | tar -t             As a tar to standard output

The path begins at the first `:/` (after `oci:` and its like). What is there already is replaced,
directories are merged; no link in DEST is followed. Without -a, files belong to the caller and
have the image's permissions as far as the umask lets them.")]
pub struct Copy {
    /// An image, and an absolute path in it
    #[arg(value_name = "IMAGE:PATH", add = complete::image_paths())]
    pub source: OsString,
    /// A directory, a new name, or `-` for a tar on standard output
    #[arg(value_name = "DEST", value_hint = clap::ValueHint::AnyPath)]
    pub destination: PathBuf,
    /// Restore owner, mode, times, attributes, devices and hard links as far as allowed
    #[arg(short, long)]
    pub archive: bool,
    /// Copy what PATH leads to, when it is a symbolic link
    #[arg(short = 'L', long)]
    pub follow_link: bool,
    /// How it is fetched.
    #[command(flatten)]
    pub fetching: Fetching,
}

/// `shale export`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale export -o debian.tar debian:12
  shale export debian:12 | tar -x -p --xattrs --xattrs-include='*' -C ./root
  shale export debian:12 | docker import - flat:12

The tar is the same each time, in PAX form, with hard links, holes and extended attributes.")]
pub struct Export {
    /// Of which image.
    #[command(flatten)]
    pub wanted: Wanted,
    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
