//! Commands on the store as a whole, and those that print about the program itself.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::Connection;
use super::complete;

/// `shale df`
#[derive(Debug, Args)]
#[command(after_help = "\
With -v a row an image: what it holds alone, and what it shares with others.

Fields:  .Type .TotalCount .Active .Size .Reclaimable
         with -v: .Repository .Tag .ID .CreatedSince .Size .SharedSize .UniqueSize .Containers")]
pub struct DiskUsage {
    /// A Go template, `table TEMPLATE`, or `json`
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
}

/// `shale info`
#[derive(Debug, Args)]
pub struct Info {
    /// A Go template, or `json`
    #[arg(short, long, value_name = "TEMPLATE")]
    pub format: Option<String>,
}

/// `shale verify`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale verify                         Presence, size, type and mode of files, documents, tables
  shale verify --deep debian:12        Every byte, and every table against a fresh walk
  shale verify --deep --repair

What is odd in a layer is listed too (`layer-warning`); it is no damage, SEMANTICS.md says what is shown.
Exit status: 0 nothing is damaged, 1 something is, 4 something could not be looked at.
Fields:  .Code .Severity .Object .Path .Detail .Remedy")]
pub struct Verify {
    /// Only what this image needs
    #[arg(value_name = "IMAGE", add = complete::images())]
    pub image: Option<String>,
    /// Read every byte and check every digest
    #[arg(long)]
    pub deep: bool,
    /// Fetch damaged blobs again, build tables again, remove leftovers
    #[arg(long)]
    pub repair: bool,
    /// Only say what --repair would do
    #[arg(long)]
    pub dry_run: bool,
    /// A Go template, or `json`
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
    /// How to reach the registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// `shale completion`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(shale completion bash)
  shale completion zsh > ~/.zfunc/_shale
  shale completion fish > ~/.config/fish/completions/shale.fish

Names of images and mounts are looked up when they are completed.")]
pub struct Completion {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `shale man`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale man mount | man -l -
  shale man --output /usr/local/share/man/man1")]
pub struct Man {
    /// The command; without one, shale itself
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    pub command: Option<String>,
    /// Write all pages into this directory
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}
