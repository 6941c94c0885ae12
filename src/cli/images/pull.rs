//! `pull`, and fetching for those commands that need an image.
//!
//! The words are Docker's. Standard output gets the canonical reference, everything else is
//! progress and goes to standard error.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::args::{Connection, Pull as Args, RaisedLimits};
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::local;
use crate::cli::terminal::Progress;
use crate::oci::{ImageName, Platform, Reference};
use crate::pull::{self, Options, PullError, Pulled, Status};
use crate::source::registry::{Fault, Registry, RegistryError};
use crate::source::{self, Clock, SourceError};

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
        let clock = Arc::clone(&source_options.clock);
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
        let limit = self.connection.retry_for.unwrap_or_default();
        let pulled = until_reachable(limit, &*clock, || {
            pull::pull(&store, &*source, Some(&canonical), &options, &progress)
        });
        progress.clear();
        Ok(pulled?)
    }
}

/// The longest wait between two tries to reach a registry.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Tries again for `limit` while nobody listens or the name is not known; what was fetched so far is
/// kept.
fn until_reachable<T>(
    limit: Duration,
    clock: &dyn Clock,
    mut attempt: impl FnMut() -> Result<T, PullError>,
) -> Result<T, PullError> {
    let end = clock.now() + limit;
    let mut pause = Duration::from_millis(250);
    loop {
        match attempt() {
            Err(error) if is_unreachable(&error) && clock.now() < end => {
                log::info!("{error}; tried again");
                clock.sleep(pause.min(end.saturating_sub(clock.now())));
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            other => return other,
        }
    }
}

fn is_unreachable(error: &PullError) -> bool {
    let PullError::Source(SourceError::Registry(error)) = error else { return false };
    matches!(error, RegistryError::Transport { fault: Fault::Refused | Fault::Lookup(_), .. })
}

/// How a source is reached, from the command line.
pub fn source_options(connection: &Connection) -> source::Options {
    let mut options = source::Options::from_environment();
    options.plain_http = connection.plain_http;
    options.plain_credentials = connection.plain_http_credentials;
    options.insecure = connection.insecure;
    if let Some(file) = &connection.authfile {
        options.auth_files = vec![file.clone()];
    }
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Mutex;
    use std::time::SystemTime;

    use super::*;

    /// Sleeps at once.
    #[derive(Debug, Default)]
    struct FakeClock(Mutex<Duration>);

    impl Clock for FakeClock {
        fn now(&self) -> Duration {
            *self.0.lock().expect("not poisoned")
        }

        fn wall(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }

        fn sleep(&self, time: Duration) {
            *self.0.lock().expect("not poisoned") += time;
        }
    }

    fn fails(fault: Fault) -> PullError {
        let url = "https://r.example/v2/".to_owned();
        PullError::Source(SourceError::Registry(RegistryError::Transport {
            url,
            proxy: None,
            fault,
        }))
    }

    #[test]
    fn a_registry_that_comes_late_is_waited_for() {
        let (clock, tries) = (FakeClock::default(), Cell::new(0));
        let reached = until_reachable(Duration::from_secs(60), &clock, || {
            tries.set(tries.get() + 1);
            match tries.get() {
                1 | 3 => Err(fails(Fault::Refused)),
                2 | 4 => Err(fails(Fault::Lookup("x".into()))),
                number => Ok(number),
            }
        });
        assert_eq!(reached.expect("in time"), 5);
        assert!(clock.now() < Duration::from_secs(60));
    }

    #[test]
    fn a_registry_that_never_comes_is_given_up_in_time() {
        for limit in [0, 1, 60] {
            let (clock, limit) = (FakeClock::default(), Duration::from_secs(limit));
            let never = until_reachable(limit, &clock, || Err::<(), _>(fails(Fault::Refused)));
            assert!(never.is_err());
            assert_eq!(clock.now(), limit);
        }
    }

    #[test]
    fn what_waiting_does_not_mend_is_an_error_at_once() {
        let (clock, tries) = (FakeClock::default(), Cell::new(0));
        let failed = until_reachable(Duration::from_secs(60), &clock, || {
            tries.set(tries.get() + 1);
            Err::<(), _>(fails(Fault::Tls("no trust".into())))
        });
        assert!(failed.is_err());
        assert_eq!((tries.get(), clock.now()), (1, Duration::ZERO));
    }
}
