//! `pull`, and fetching for those commands that need an image.
//!
//! The words are Docker's. Standard output gets the canonical reference, everything else is
//! progress and goes to standard error.

use std::ffi::OsStr;
use std::path::Path;

use crate::cli::args::{Connection, Pull as Args, RaisedLimits};
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::local;
use crate::cli::terminal::Progress;
use crate::oci::{ImageName, Platform, Reference};
use crate::pull::{self, Options, Pulled, Status};
use crate::source;
use crate::source::registry::Registry;

/// `shale pull`
pub fn pull(context: &mut Context, args: &Args) -> Result<(), Error> {
    let name = parse_name(&args.image)?;
    let fetch = Fetch {
        platform: args.platform.clone(),
        jobs: usize::from(args.jobs),
        foreign: args.foreign,
        limits: args.limits.clone(),
        connection: args.connection.clone(),
    };
    if args.all_tags {
        return all_tags(context, args, &name, &fetch);
    }
    if name.reference().is_some_and(Reference::is_default_tag) {
        context.out.message("Using default tag: latest");
    }
    let stored = local::reference(&name)?;
    let pulled = fetch.run(context, &name, &stored)?;
    report(context, &stored, &pulled)
}

/// What the user wrote as an image's name.
pub fn parse_name(text: &OsStr) -> Result<ImageName, Error> {
    ImageName::parse(text).map_err(|error| {
        let said = Error::usage(error.to_string());
        let lower = text.to_string_lossy().to_lowercase();
        if Path::new(text).is_dir() {
            said.hint("this is a directory; the image comes first: `shale mount IMAGE DIR`")
        } else if ImageName::parse(OsStr::new(&lower)).is_ok() {
            said.hint(format!("did you mean `{lower}`?"))
        } else {
            said
        }
    })
}

fn report(context: &mut Context, stored: &Reference, pulled: &Pulled) -> Result<(), Error> {
    context.out.message(&format!("Digest: {}", pulled.digest));
    conclude(context, pulled.status, &stored.familiar(), &stored.to_string())
}

/// How images are fetched.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// Which image of a list.
    pub platform: Option<Platform>,
    /// Layers at once.
    pub jobs: usize,
    /// Also layers that no registry holds.
    pub foreign: bool,
    /// What an image may cost.
    pub limits: RaisedLimits,
    /// How to reach the registry.
    pub connection: Connection,
}

impl Fetch {
    /// Fetches `name` and calls it `stored` in the store.
    pub fn run(
        &self,
        context: &mut Context,
        name: &ImageName,
        stored: &Reference,
    ) -> Result<Pulled, Error> {
        let store = context.store()?;
        let limits = self.limits.all();
        let source_options = source::Options { limits, ..source_options(&self.connection) };
        let source = source::open(name, &source_options)?;
        context.out.message(&heading(name));
        let options = Options {
            limits,
            platform: self.platform.clone(),
            jobs: self.jobs,
            foreign: self.foreign,
            ..name.reference().map_or_else(Options::default, Options::of)
        };
        let progress = Progress::new(context.quiet, context.out.can_draw());
        let canonical = stored.canonical();
        let pulled = pull::pull(&store, &*source, Some(&canonical), &options, &progress);
        progress.clear();
        Ok(pulled?)
    }
}

/// How a source is reached, from the command line.
pub fn source_options(connection: &Connection) -> source::Options {
    let mut options = source::Options::from_environment();
    options.plain_http = connection.plain_http;
    options.plain_credentials = connection.plain_http_credentials;
    options.insecure = connection.insecure;
    if let Some(hub) = std::env::var_os("SHALE_HUB").and_then(|hub| hub.into_string().ok()) {
        options.hub = hub;
    }
    options
}

/// `12: Pulling from library/debian`
fn heading(name: &ImageName) -> String {
    match name {
        ImageName::Registry(reference) => {
            format!("{}: Pulling from {}", reference.manifest_key(), reference.repository())
        }
        other => format!("Pulling from {other}"),
    }
}

fn all_tags(
    context: &mut Context,
    args: &Args,
    name: &ImageName,
    fetch: &Fetch,
) -> Result<(), Error> {
    let Some(reference) = name.reference() else {
        return Err(Error::usage(format!("{name}: --all-tags is for registries")));
    };
    if !reference.is_default_tag() {
        return Err(Error::usage("tag can't be used with --all-tags/-a"));
    }
    let tags = Registry::new(reference.registry(), &source_options(&args.connection))
        .and_then(|registry| registry.tags(reference.repository()))?;
    if tags.is_empty() {
        return Err(Error::failed(format!("{}: the repository has no tags", reference.name())));
    }
    let mut status = Status::UpToDate;
    for tag in tags {
        let tagged = reference.with_tag(&tag);
        let tagged = tagged.map_err(|error| Error::failed(error.to_string()))?;
        let pulled = fetch.run(context, &ImageName::Registry(tagged.clone()), &tagged)?;
        context.out.message(&format!("Digest: {}", pulled.digest));
        if pulled.status == Status::New {
            status = Status::New;
        }
    }
    conclude(context, status, &reference.familiar_name(), &reference.name())
}

/// Docker's last words on a pull.
fn conclude(
    context: &mut Context,
    status: Status,
    familiar: &str,
    full: &str,
) -> Result<(), Error> {
    context.out.message(&match status {
        Status::New => format!("Status: Downloaded newer image for {familiar}"),
        Status::UpToDate => format!("Status: Image is up to date for {familiar}"),
    });
    context.out.line(full)
}
