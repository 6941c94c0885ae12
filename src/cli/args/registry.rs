//! Commands that talk to registries.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::RaisedLimits;
use super::complete;
use crate::oci::Platform;

/// How to reach a registry.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// Speak HTTP without TLS (always done with registries on this machine), without passwords
    #[arg(long)]
    pub plain_http: bool,
    /// Send passwords and tokens without TLS too, for anybody on the way to read
    #[arg(long)]
    pub plain_http_credentials: bool,
    /// Do not check the registry's certificate
    #[arg(long)]
    pub insecure: bool,
    /// Take credentials from this file alone (as of `docker login`, or podman's auth.json)
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// While the registry refuses connections or its name is unknown, ask again for this long: the
    /// network may come late after a boot. For example 60s, 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub retry_for: Option<Duration>,
}

/// A number of seconds, minutes or hours: `90`, `90s`, `5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (text.get(..at), 1),
        Some((at, 'm')) => (text.get(..at), 60),
        Some((at, 'h')) => (text.get(..at), 3600),
        _ => (Some(text), 1),
    };
    let number = number.and_then(|number| number.parse::<u32>().ok());
    let seconds = number.map(|number| u64::from(number) * unit);
    seconds.map(Duration::from_secs).ok_or_else(|| "expected a time such as 60s or 5m".to_owned())
}

/// `shale pull`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale pull debian                      Docker Hub, tag latest
  shale pull ghcr.io/x/y:v1
  shale pull debian@sha256:0123...
  shale pull --platform linux/arm64 debian:12
  shale pull -a registry.example/app     All tags
  shale pull oci:./layout:v1             From an OCI layout; also oci-archive:, docker-archive:")]
pub struct Pull {
    /// A reference, or `oci:DIR[:TAG]`, `oci-archive:FILE`, `docker-archive:FILE`
    #[arg(value_name = "IMAGE", add = complete::images())]
    pub image: OsString,
    /// All tags of the repository
    #[arg(short, long)]
    pub all_tags: bool,
    /// Which image of a list [default: this machine's]
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<Platform>,
    /// How many layers to fetch at once
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: u8,
    /// Fetch layers that no registry holds from where the manifest says
    #[arg(long)]
    pub foreign: bool,
    /// What the image may cost.
    #[command(flatten)]
    pub limits: RaisedLimits,
    /// How to reach the registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// `shale search`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale search debian                          Docker Hub
  shale search --filter is-official=true --filter stars=100 --limit 5 debian
  shale search registry.example/app            Repositories of a registry that contain `app`
  shale search registry.example/team/app       Its tags, when that is a repository

Filters: stars=N, is-official=BOOL, is-automated=BOOL
Fields:  .Name .Description .StarCount .IsOfficial .IsAutomated")]
pub struct Search {
    /// What to look for: a word, or a registry and a word
    #[arg(value_name = "[REGISTRY/]TERM")]
    pub term: String,
    /// At most this many results
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub limit: u32,
    /// Only results that match
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// Show descriptions in full
    #[arg(long)]
    pub no_trunc: bool,
    /// A Go template, `table TEMPLATE`, or `json`
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
    /// How to reach the registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// `shale manifest`
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Manifest {
    /// What to do.
    #[command(subcommand)]
    pub command: ManifestCommand,
}

/// Commands on manifests.
#[derive(Debug, Subcommand)]
pub enum ManifestCommand {
    /// Print the manifest or list that a registry serves under a name
    Inspect(ManifestInspect),
}

/// `shale manifest inspect`
#[derive(Debug, Args)]
#[command(after_help = "\
With -v every manifest of a list is fetched and shown with its descriptor.")]
pub struct ManifestInspect {
    /// A reference, or `oci:DIR[:TAG]`, `oci-archive:FILE`, `docker-archive:FILE`
    #[arg(value_name = "IMAGE", add = complete::images())]
    pub image: OsString,
    /// How to reach the registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// `shale platforms`
#[derive(Debug, Args)]
#[command(after_help = "\
Fields:  .Platform .Digest .Size")]
pub struct Platforms {
    /// A reference, or `oci:DIR[:TAG]`, `oci-archive:FILE`, `docker-archive:FILE`
    #[arg(value_name = "IMAGE", add = complete::images())]
    pub image: OsString,
    /// A Go template, `table TEMPLATE`, or `json`
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
    /// How to reach the registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// `shale login`
#[derive(Debug, Args)]
#[command(after_help = "\
The password is asked for, or read from standard input; it is never an argument. It is kept where
docker and podman keep theirs.

Example:
  pass show registry | shale login -u me --password-stdin registry.example")]
pub struct Login {
    /// The registry
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub registry: String,
    /// The user
    #[arg(short, long, value_name = "USER")]
    pub username: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// How to reach the registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// `shale logout`
#[derive(Debug, Args)]
pub struct Logout {
    /// The registry
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub registry: String,
}
