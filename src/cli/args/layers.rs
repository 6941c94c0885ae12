//! Commands on the layers of images.

use std::ffi::OsString;

use clap::Args;

use super::complete;

/// `shale layers`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale layers debian:12
  shale layers -v debian:12                      With the ten largest files that nobody sees
  shale layers --paths --format json debian:12   All that each layer did, a path a line
  shale layers --max-wasted 5% debian:12         Exit status 1 when more is wasted

ADDED, CHANGED and REMOVED count names of everything but directories; a name that an entry brings
again counts as changed, even with the same content. WASTED are the bytes of the layer's files that
the image does not show because a later entry replaced or removed them. Efficiency as dive has it:
of each path, the least bytes that a layer stores for it (none where one removes it) against the
bytes that all layers store for it, summed up.

Fields:  .No .Digest .DiffID .Size .Unpacked .Entries .Added .Changed .Removed .Wasted .Warnings
         .CreatedBy .Bytes .UnpackedBytes .WastedBytes .Worst
         with --paths: .No .Change .Path .Type .Bytes
         with --wasted: .No .Bytes .Size .By .How .Path
         with --summary: .Layers .Size .Unpacked .Wasted .Percent .Efficiency .UnpackedBytes
         .WastedBytes
         with --warnings: .No .Kind .Path .Text")]
pub struct Layers {
    /// Name or ID
    #[arg(value_name = "IMAGE", add = complete::images())]
    pub image: String,
    /// List what is odd in the layers, and what is made of it
    #[arg(long, group = "view")]
    pub warnings: bool,
    /// List the files that take space and that the image does not show, the largest first
    #[arg(long, group = "view")]
    pub wasted: bool,
    /// List every path that a layer added (A), changed (C) or removed (D)
    #[arg(long, group = "view")]
    pub paths: bool,
    /// Show the figures of the whole image
    #[arg(long, group = "view")]
    pub summary: bool,
    /// Fail when more than this part of the unpacked bytes is wasted
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub max_wasted: Option<f64>,
    /// Show digests and commands in full
    #[arg(long)]
    pub no_trunc: bool,
    /// A Go template, `table TEMPLATE`, or `json`
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
}

/// `5%` or `5`.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let value = number.parse::<f64>().ok().filter(|value| (0.0..=100.0).contains(value));
    value.ok_or_else(|| "not a percentage from 0 to 100".to_owned())
}

/// `shale which`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale which debian:12 /usr/bin/perl
  shale which --format '{{.No}} {{.Change}} {{.CreatedBy}}' debian:12 /etc/passwd
  shale which --format json debian:12 /etc/passwd

The topmost layer comes first. Parents that are symlinks are followed; the path itself is not. A
row says what the layer left there, and with HIDES what a lower one has there that it hides.

Fields:  .No .Digest .DiffID .Change .Path .Type .Mode .Owner .Size .ModTime .Target .How .Hides
         .ContentNo .CreatedBy")]
pub struct Which {
    /// Name or ID
    #[arg(value_name = "IMAGE", add = complete::images())]
    pub image: String,
    /// A path in the image
    #[arg(value_name = "PATH")]
    pub path: OsString,
    /// Show digests and commands in full
    #[arg(long)]
    pub no_trunc: bool,
    /// A Go template, `table TEMPLATE`, or `json`
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
}

/// `shale diff`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale diff debian:11 debian:12                 A added, C changed, D removed
  shale diff app:v2                              What its topmost layer made of the others
  shale diff --base 0 app:v2                     What all layers made of the lowest
  shale diff --stat=3 debian:11 debian:12        Counted by directory, three levels deep
  shale diff --content /etc/passwd debian:11 debian:12

Names, content, mode, owner, extended attributes, link texts and device numbers are compared, the
modification time with --mtime; which names are hard links of one another is not. No file is read:
content is compared by its hash, and a file that is stored with holes in one image only counts as
changed.

Exit status: 0, and with --exit-code 1 when there is a difference.
Fields:  .Change .Path .Type .What .Detail .Before .After
         with --stat: .Path .Added .Changed .Removed .Bytes")]
pub struct Diff {
    /// Name or ID
    #[arg(value_name = "IMAGE", add = complete::images())]
    pub first: String,
    /// Another image [default: the same one with lower layers only, first]
    #[arg(value_name = "IMAGE2", add = complete::images())]
    pub second: Option<String>,
    /// Compare with the image as this layer left it: its number from 0 at the bottom, or its digest
    #[arg(long, value_name = "LAYER", conflicts_with = "second")]
    pub base: Option<String>,
    /// Count by directory, down to this depth [default: 2]
    #[arg(
        long, value_name = "DEPTH", num_args = 0..=1, require_equals = true,
        default_missing_value = "2", conflicts_with = "content",
    )]
    pub stat: Option<usize>,
    /// Show the differences in the text of one file
    #[arg(long, value_name = "PATH")]
    pub content: Option<OsString>,
    /// Compare modification times too
    #[arg(long)]
    pub mtime: bool,
    /// Exit with 1 when there is a difference
    #[arg(long)]
    pub exit_code: bool,
    /// A Go template, `table TEMPLATE`, or `json`
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "content")]
    pub format: Option<String>,
}
