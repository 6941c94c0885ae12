//! Commands on images of the store.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::RaisedLimits;
use super::complete;

/// `shale ls`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale ls                                    Everything that has a name, newest first
  shale ls debian                             One repository
  shale ls --filter dangling=true -q          IDs of images without a tag
  shale ls --filter 'reference=*/*:v1*' --filter since=debian:12
  shale ls --format '{{.Repository}}:{{.Tag}} {{.Size}}'
  shale ls --format 'table {{.ID}}\\t{{.SharedSize}}\\t{{.UniqueSize}}'
  shale ls --format json

Filters: dangling=BOOL, label=KEY[=VALUE], label!=KEY[=VALUE], before=IMAGE, since=IMAGE,
         until=TIME, reference=PATTERN
Fields:  .ID .Repository .Tag .Digest .CreatedSince .CreatedAt .Size .SharedSize .UniqueSize
         .Containers (mounts)")]
pub struct List {
    /// Only images of this repository, or of this name
    #[arg(value_name = "REPOSITORY[:TAG]", add = complete::images())]
    pub name: Option<String>,
    /// Accepted for Docker's sake: nothing is hidden
    #[arg(short, long)]
    pub all: bool,
    /// Show the digests that registries serve the images under
    #[arg(long)]
    pub digests: bool,
    /// Show IDs in full
    #[arg(long)]
    pub no_trunc: bool,
    /// Only images that match (several keys: all of them)
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// A Go template, `table TEMPLATE`, or `json`
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
}

/// `shale inspect`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale inspect debian:12
  shale inspect -f '{{.Architecture}} {{join .Config.Cmd \" \"}}' debian:12
  shale inspect -f '{{range .RootFS.Layers}}{{println .}}{{end}}' debian:12
  shale inspect -f '{{json .Config.Labels}}' debian:12")]
pub struct Inspect {
    /// Names or IDs
    #[arg(required = true, value_name = "IMAGE", add = complete::images())]
    pub images: Vec<String>,
    /// A Go template, or `json`
    #[arg(short, long, value_name = "TEMPLATE")]
    pub format: Option<String>,
}

/// `shale history`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale history debian:12
  shale history --no-trunc --format '{{.CreatedBy}}' debian:12

Fields:  .ID .CreatedSince .CreatedAt .CreatedBy .Size .Comment")]
pub struct History {
    /// Name or ID
    #[arg(value_name = "IMAGE", add = complete::images())]
    pub image: String,
    /// Sizes and dates for people; `--human=false` for bytes and RFC 3339
    #[arg(
        short = 'H', long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set,
        value_parser = clap::builder::BoolishValueParser::new(),
        hide_possible_values = true, hide_default_value = true,
    )]
    pub human: bool,
    /// Show commands in full
    #[arg(long)]
    pub no_trunc: bool,
    /// A Go template, `table TEMPLATE`, or `json`
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
}

/// `shale rm`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale rm debian:12                   The name, and the image with its last name
  shale rm -f 0123456789ab             The image with all its names
  shale rm $(shale ls -q)              Everything that is not mounted")]
pub struct Remove {
    /// Names or IDs
    #[arg(required = true, value_name = "IMAGE", add = complete::images())]
    pub images: Vec<String>,
    /// Remove an image by its ID though it has several names; no error for one that is not there
    #[arg(short, long)]
    pub force: bool,
    /// Accepted for Docker's sake: there are no untagged parents to delete
    #[arg(long)]
    pub no_prune: bool,
}

/// `shale tag`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  shale tag debian:12 localhost/base:v1")]
pub struct Tag {
    /// Name or ID
    #[arg(value_name = "SOURCE", add = complete::images())]
    pub source: String,
    /// The new name; an image that has it loses it
    #[arg(value_name = "TARGET", add = complete::images())]
    pub target: String,
}

/// `shale prune`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale prune                          Images without a tag
  shale prune -a --filter until=240h   All that are not mounted and older than ten days

Filters: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]")]
pub struct Prune {
    /// Remove all images that are not mounted, not only those without a tag
    #[arg(short, long)]
    pub all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only images that match
    #[arg(long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
}

/// Which archive `save` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum SaveFormat {
    /// What `docker save` writes: layers uncompressed
    #[default]
    DockerArchive,
    /// Layers as they were pulled, so that their digests stay the same
    OciArchive,
}

/// `shale save`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale save -o debian.tar debian:12
  shale save debian:12 alpine:3 | docker load
  shale save --format oci-archive -o debian.oci debian:12")]
pub struct Save {
    /// Names or IDs
    #[arg(required = true, value_name = "IMAGE", add = complete::images())]
    pub images: Vec<String>,
    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The kind of archive
    #[arg(long, value_enum, default_value_t)]
    pub format: SaveFormat,
}

/// `shale load`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale load -i debian.tar
  docker save debian:12 | shale load")]
pub struct Load {
    /// The archive: docker or OCI, plain or compressed [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// What an image may cost.
    #[command(flatten)]
    pub limits: RaisedLimits,
}
