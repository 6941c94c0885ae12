//! Commands on mounts.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::complete;
use super::{Connection, RaisedLimits};
use crate::oci::Platform;

/// When `mount` asks the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PullPolicy {
    /// When the store does not have the image
    #[default]
    Missing,
    /// Every time
    Always,
    /// Never
    Never,
}

/// An image that is fetched when it is missing.
#[derive(Debug, Args)]
pub struct Wanted {
    /// A reference, an ID, or `oci:DIR[:TAG]`, `oci-archive:FILE`, `docker-archive:FILE`
    #[arg(value_name = "IMAGE", add = complete::images())]
    pub image: OsString,
    /// How it is fetched.
    #[command(flatten)]
    pub fetching: Fetching,
}

/// How an image is fetched when it is missing.
#[derive(Debug, Clone, Args)]
pub struct Fetching {
    /// When to ask the registry
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub pull: PullPolicy,
    /// Which image of a list [default: this machine's]
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<Platform>,
    /// What the image may cost.
    #[command(flatten)]
    pub limits: RaisedLimits,
    /// How to reach the registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// `shale mount`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale mount debian:12 ./d
  shale mount --mkdir debian:12 ./new/d
  shale mount ghcr.io/x/y@sha256:0123... ./d
  shale mount oci:./layout:v1 ./d
  shale mount --layer 2 debian:12 ./layer        The third layer alone
  shale mount --upto 1 debian:12 ./d             The image as the second layer left it
  shale mount -o uid=1000,gid=1000 debian:12 ./d

Options of -o: allow_other (others may look in; the default for root), deny_other (they may not), suid
  and dev (show and obey set-user-ID bits, device files; for mount(8) allow_suid and allow_dev), noexec, uid=N and gid=N (show everything
  as owned by them), provenance (show of files and directories which layer made them, as the extended
  attributes user.shale.layer and user.shale.digest), auto_unmount (also when the server is killed),
  fsname=TEXT (the source in the mount table). `ro` and the other words of fstab are accepted.

With a link /sbin/mount.fuse.shale to this program, `mount -t fuse.shale debian:12 /mnt` and fstab
  work too; there -o also takes root= (the store), platform=, pull=, layer=, upto=, limit=, authfile=,
  retry-for=, supervise, require-sandbox, plain-http and insecure.")]
pub struct Mount {
    /// Of which image.
    #[command(flatten)]
    pub wanted: Wanted,
    /// An empty directory
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub directory: PathBuf,
    /// Make the directory, and those above it, when it is missing
    #[arg(long)]
    pub mkdir: bool,
    /// Stay, and serve in this process until it is unmounted
    #[arg(long)]
    pub foreground: bool,
    /// Mount again when the server is killed, for as long as it is not unmounted. Until then the
    /// dead mount stays; before Linux 6.5 and without root the directory below shows for
    /// milliseconds
    #[arg(long, conflicts_with = "foreground")]
    pub supervise: bool,
    /// Fail where the kernel cannot take every right from the server that it does not need
    #[arg(long)]
    pub require_sandbox: bool,
    /// Show one layer alone: its number from 0 at the bottom, or its digest
    #[arg(long, value_name = "LAYER", conflicts_with = "upto")]
    pub layer: Option<String>,
    /// Show the image as this layer left it
    #[arg(long, value_name = "LAYER")]
    pub upto: Option<String>,
    /// Mount options, separated by commas
    #[arg(short, value_name = "OPTIONS")]
    pub options: Vec<String>,
}

/// `shale umount`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale umount ./d
  shale umount debian:12          Wherever it is mounted
  shale umount --all")]
pub struct Umount {
    /// Directories, or references of images
    #[arg(value_name = "DIR|IMAGE", required_unless_present = "all", add = complete::mounts())]
    pub targets: Vec<PathBuf>,
    /// Everything that is mounted from this store
    #[arg(short, long, conflicts_with = "targets")]
    pub all: bool,
    /// Take the name away now, and end when the last file is closed
    #[arg(short, long)]
    pub lazy: bool,
}

/// `shale mounts`
#[derive(Debug, Args)]
#[command(after_help = "\
States:  alive; detached (unmounted lazily, and still in use); elsewhere (mounted in another mount
         namespace; `shale umount` ends it); restarting (its server was killed, its supervisor mounts again); dead (its server
         was killed: `shale umount` or `shale prune` clears it away)
         `name moved`: its name stands for another image by now, which the next mount shows
Fields:  .ID .Image .ImageID .Dir .PID .Uptime .State .Status
         .Supervisor .Moved .Log (what its server had to say; `shale prune` removes those of mounts
         that are over)")]
pub struct Mounts {
    /// Show IDs in full
    #[arg(long)]
    pub no_trunc: bool,
    /// A Go template, `table TEMPLATE`, or `json`
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
}

/// `shale stats`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale stats ./d
  shale stats --format '{{.Dir}} {{.Requests.read}} {{.Content.bytes_decoded}}'
  shale stats --format prometheus > /var/lib/node_exporter/shale.prom

Fields:  .Dir .Image .ID .PID .Uptime (seconds) .Memory (bytes)
         .Requests by kind (read, readdirplus, lookup, getattr ...), .Content by name (reads,
         bytes_served, bytes_decoded, spans_decoded, bytes_cached, cache_hits, decode_nanos ...)")]
pub struct Stats {
    /// Mounted directories [default: all mounts of the store]
    #[arg(value_name = "DIR", add = complete::mounts())]
    pub directories: Vec<PathBuf>,
    /// A Go template, `table TEMPLATE`, `json`, or `prometheus`
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
}
