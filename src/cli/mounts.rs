//! `mount`, `umount`, `mounts`.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use super::args::{Mount, Mounts, PullPolicy, Umount, Wanted};
use super::context::{Context, stored_name};
use super::error::{Error, status};
use super::layers::{self, short};
use super::listing::{Columns, Format};
use super::local;
use super::mount_options;
use super::pull::{Fetch, parse_name, source_options};
use super::remove::familiar;
use super::suggest::explain;
use super::template::{Field, Struct, Value};
use super::units;
use crate::fuse::MountError;
use crate::mount::{self, Listed, Target, View};
use crate::oci::{ImageName, Platform, Reference};
use crate::pull::PullError;
use crate::source;
use crate::store::{Hold, Store, StoreError, StoredImage, Supervisor};
use crate::tree::MergeError;

/// `shale mount`
pub fn mount(context: &mut Context, args: &Mount) -> Result<(), Error> {
    let mut options = mount_options::parse(&args.options)?;
    options.require_sandbox = args.require_sandbox;
    if args.supervise && options.auto_unmount {
        return Err(Error::usage("--supervise: -o auto_unmount would unmount instead"));
    }
    let store = context.store()?;
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
pub(super) fn chosen_name(text: &OsStr, image: &StoredImage) -> Option<String> {
    let name = local::reference(&ImageName::parse(text).ok()?).ok()?.canonical();
    image.names.contains(&name).then_some(name)
}

/// How often an image is looked for that somebody removes before it is held.
const TRIES: usize = 5;

/// The image to use, fetched when the policy says so, and what keeps its layers in the store. One
/// that an `rm` or a `prune` next door took away before it was held, or whose layers are missing
/// for another reason, is fetched again.
pub(super) fn image(context: &mut Context, args: &Wanted) -> Result<(StoredImage, Hold), Error> {
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

/// `shale umount`: goes on past errors.
pub fn umount(context: &mut Context, args: &Umount) -> Result<(), Error> {
    let store = context.store()?;
    let mut failed = false;
    if args.all {
        failed |= unmount(context, &store, Target::All, args.lazy);
    }
    for target in &args.targets {
        let image = image_target(&store, target)?;
        let target = image.as_deref().map_or(Target::Directory(target), Target::Image);
        failed |= unmount(context, &store, target, args.lazy);
    }
    if failed { Err(Error::Said { status: status::FAILED }) } else { Ok(()) }
}

/// The image that a target names, when it is not a directory but something mounted by that name.
fn image_target(store: &Store, target: &Path) -> Result<Option<String>, Error> {
    // A dead mount is something too: looking at it fails, but not with "not found".
    if !target.symlink_metadata().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let Some(text) = target.to_str() else { return Ok(None) };
    let reference = stored_name(text).parse::<Reference>().ok().map(|name| name.canonical());
    let records = store.mounts()?;
    let mounted = |name: &String| records.iter().any(|record| record.image == *name);
    // A path that is gone can still have a dead mount; a plain name cannot be one.
    Ok(reference.filter(|name| mounted(name) || !text.contains('/')))
}

/// True when something failed.
fn unmount(context: &mut Context, store: &Store, target: Target<'_>, lazy: bool) -> bool {
    let results = match mount::umount(store, target, lazy) {
        Ok(results) => results,
        Err(error) => {
            let missing = matches!(&error, mount::Error::Mount(MountError::Missing { .. }));
            let error = Error::from(error);
            let hint = "`shale mounts` lists what is mounted";
            context.out.error(&if missing { error.hint(hint) } else { error });
            return true;
        }
    };
    let mut failed = false;
    for unmounted in results {
        let path = unmounted.mountpoint.display();
        match unmounted.result {
            Ok(true) => {}
            Ok(false) => context.out.message(&format!("{path}: unmounted, but still in use")),
            Err(error) => {
                failed = true;
                context.out.error(&error.into());
            }
        }
    }
    failed
}

/// `shale mounts`
pub fn mounts(context: &mut Context, args: &Mounts) -> Result<(), Error> {
    let columns = Columns {
        row: "mount",
        titles: &[
            ("ID", "ID"),
            ("Image", "IMAGE"),
            ("ImageID", "IMAGE ID"),
            ("Dir", "DIR"),
            ("PID", "PID"),
            ("Uptime", "UPTIME"),
            ("State", "STATE"),
            ("Status", "STATE"),
            ("Supervisor", "SUPERVISOR"),
        ],
        table: "{{.ID}}\t{{.Image}}\t{{.Dir}}\t{{.PID}}\t{{.Uptime}}\t{{.Status}}".to_owned(),
    };
    let quiet = context.quiet.then_some("{{.Dir}}");
    let format = Format::choose(args.format.as_deref(), &columns, quiet)?;
    let store = context.store()?;
    let rows: Vec<Value> =
        mount::list(&store)?.iter().map(|listed| row(listed, args.no_trunc)).collect();
    format.print(&mut context.out, &columns, rows)
}

fn row(listed: &Listed, full_id: bool) -> Value {
    let record = &listed.record;
    let supervisor = record.supervisor.filter(Supervisor::lives);
    let status = if supervisor.is_some() { ", supervised" } else { "" };
    let status = format!("{}{status}", listed.state.name());
    let supervisor = supervisor.map(|process| process.pid.to_string()).unwrap_or_default();
    let image_id = if full_id { record.image_id.to_string() } else { short(&record.image_id) };
    Value::from(Struct::row(
        "mount",
        vec![
            Field::new("ID", record.id.as_str()),
            Field::new("Image", familiar(&record.image)),
            Field::new("ImageID", image_id),
            Field::new("Dir", record.mountpoint.to_string_lossy().into_owned()),
            Field::new("PID", record.pid.to_string()),
            Field::new("Uptime", units::duration(listed.uptime)),
            Field::new("State", listed.state.name()),
            Field::new("Status", status),
            Field::new("Supervisor", supervisor),
        ],
    ))
}
