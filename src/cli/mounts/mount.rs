//! `mount`: an image as a directory, fetched when it is missing.

use std::ffi::OsStr;
use std::fs;

use super::options;
use crate::cli::args::{Mount, PullPolicy, Wanted};
use crate::cli::context::{Context, familiar, stored_name};
use crate::cli::error::Error;
use crate::cli::error::suggest::explain;
use crate::cli::images::layers;
use crate::cli::images::pull::{Fetch, parse_name, source_options};
use crate::cli::local;
use crate::mount::{self, View};
use crate::oci::{ImageName, Platform, Reference};
use crate::pull::PullError;
use crate::source;
use crate::store::{Hold, StoreError, StoredImage};
use crate::tree::MergeError;

/// `shale mount`
pub fn mount(context: &mut Context, args: &Mount) -> Result<(), Error> {
    let mut options = options::parse_all(&args.options)?;
    options.require_sandbox = args.require_sandbox;
    if args.supervise && options.auto_unmount {
        return Err(Error::usage("--supervise: -o auto_unmount would unmount instead"));
    }
    // Before anything is fetched, which may take long.
    if args.mkdir {
        fs::create_dir_all(&args.directory).map_err(Error::io(args.directory.display()))?;
    }
    let store = context.store()?;
    mount::check_place(&store, &args.directory)?;
    // Until the mount holds it itself.
    let (mut image, _held) = image(context, &args.wanted)?;
    let name = image.names.first().cloned().unwrap_or_else(|| image.id.to_string());
    let name = chosen_name(&args.wanted.image, &image).unwrap_or(name);
    let first_layer = cut_layers(&mut image, args)?;
    let hold = store.hold_in_use(&image)?;
    let view = || match View::held(&store, &image, &name, hold.clone()) {
        Ok(view) => Ok(View { first_layer, ..view }),
        Err(error) => Err(numbered(error, first_layer)),
    };
    if args.foreground {
        return Ok(mount::mount_foreground(&store, view()?, &args.directory, &options, |_| {})?);
    }
    let record = if args.supervise {
        mount::mount_supervised(&store, &view, &args.directory, &options)?
    } else {
        mount::mount(&store, view()?, &args.directory, &options)?
    };
    context.out.message(&format!(
        "{} mounted on {}",
        familiar(&record.image),
        record.mountpoint.display()
    ));
    Ok(())
}

/// Names the layer by its position in the image, also where the layers begin at another.
fn numbered(error: mount::Error, first: u32) -> mount::Error {
    match error {
        mount::Error::Tables(PullError::Merge(MergeError::Entry { layer, path, fault })) => {
            let layer = layer.saturating_add(first);
            PullError::Merge(MergeError::Entry { layer, path, fault }).into()
        }
        other => other,
    }
}

/// The name that the user wrote, when the image has it.
pub fn chosen_name(text: &OsStr, image: &StoredImage) -> Option<String> {
    let name = local::reference(&ImageName::parse(text).ok()?).ok()?.canonical();
    image.names.contains(&name).then_some(name)
}

/// How often an image is looked for that somebody removes before it is held.
const TRIES: usize = 5;

/// The image to use, fetched when the policy says so, and what keeps its layers in the store. One
/// that an `rm` or a `prune` next door took away before it was held, or whose layers are missing
/// for another reason, is fetched again.
pub fn image(context: &mut Context, args: &Wanted) -> Result<(StoredImage, Hold), Error> {
    let store = context.store()?;
    let mut missing = None;
    for last in (0..TRIES).map(|number| number + 1 == TRIES) {
        let image = match (find(context, args, missing.is_none()), missing.take()) {
            (Err(error), Some(missing)) => return Err(not_again(missing, error)),
            (found, _) => found?,
        };
        let held = store.hold(&image);
        match held.and_then(|hold| image.blobs(&store).map(|_| hold)) {
            Ok(hold) => return Ok((image, hold)),
            Err(error @ StoreError::MissingBlob { .. })
                if !last && args.fetching.pull != PullPolicy::Never =>
            {
                missing = Some(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::failed(format!("{}: it is removed again and again", args.image.to_string_lossy())))
}

/// A stored image lacks something, and cannot be fetched again.
fn not_again(missing: StoreError, fetching: Error) -> Error {
    let (first, hint) = Error::from(missing).words().unwrap_or_default();
    let (second, _) = fetching.words().unwrap_or_default();
    let error = Error::failed(format!("{first}; fetching it again: {second}"));
    error.hint(hint.unwrap_or_default())
}

/// The image that is stored, if that is `whole` and the policy lets it do, or a fetched one.
fn find(context: &mut Context, args: &Wanted, whole: bool) -> Result<StoredImage, Error> {
    let store = context.store()?;
    let known = || store.open_to_mount(&stored_name(&args.image.to_string_lossy()));
    let found = match args.fetching.pull {
        PullPolicy::Always => None,
        PullPolicy::Never => {
            let never = |error| explain(&store, &args.image.to_string_lossy(), error);
            return require_wanted(known().map_err(never)?, args);
        }
        PullPolicy::Missing if !whole => None,
        PullPolicy::Missing => match known() {
            Ok(image) => Some(image),
            Err(StoreError::NoSuchImage { .. } | StoreError::MissingBlob { .. }) => None,
            Err(error) => return Err(error.into()),
        },
    };
    let name = parse_name(&args.image)?;
    let found = found.filter(|image| is_wanted(image, args) && is_current(&name, image, args));
    if let Some(image) = found {
        return Ok(image);
    }
    let fetch = Fetch {
        platform: args.fetching.platform.clone(),
        jobs: 3,
        foreign: false,
        limits: args.fetching.limits.clone(),
        connection: args.fetching.connection.clone(),
    };
    let stored: Reference = local::reference(&name)?;
    Ok(fetch.run(context, &name, &stored)?.image)
}

/// Whether the image is for the platform that was asked for, if one was.
fn is_wanted(image: &StoredImage, args: &Wanted) -> bool {
    match (&args.fetching.platform, image.config.platform()) {
        (Some(wanted), Some(is)) => wanted.preferences().iter().any(|able| able.matches(&is)),
        _ => true,
    }
}

fn require_wanted(image: StoredImage, args: &Wanted) -> Result<StoredImage, Error> {
    if is_wanted(&image, args) {
        return Ok(image);
    }
    let text = |platform: Option<Platform>| platform.map(|p| p.to_string()).unwrap_or_default();
    Err(Error::failed(format!(
        "{}: the stored image is for {}, not for {}",
        args.image.to_string_lossy(),
        text(image.config.platform()),
        text(args.fetching.platform.clone()),
    ))
    .hint("without `--pull never` the other one is fetched"))
}

/// A layout or archive can be looked at for nothing, and its directory may hold another image by
/// now. What cannot be read any more does not matter: the store has the image.
fn is_current(name: &ImageName, image: &StoredImage, args: &Wanted) -> bool {
    if name.reference().is_some() {
        return true;
    }
    let root =
        source::open(name, &source_options(&args.fetching.connection)).and_then(|s| s.root());
    root.map_or(true, |root| root.descriptor.digest == image.manifest.digest)
}

/// Leaves only the layers that `--layer` or `--upto` ask for. Returns the number of the lowest.
fn cut_layers(image: &mut StoredImage, args: &Mount) -> Result<u32, Error> {
    let (Some(text), alone) = (args.layer.as_ref().or(args.upto.as_ref()), args.layer.is_some())
    else {
        return Ok(0);
    };
    let position = layers::position(image, text)?;
    image.layers.truncate(position + 1);
    if !alone {
        return Ok(0);
    }
    image.layers.drain(..position);
    Ok(u32::try_from(position).unwrap_or(u32::MAX))
}
