//! `umount`: by directory, by the name of the mounted image, or all.

use std::io;
use std::path::Path;

use crate::cli::args::Umount;
use crate::cli::context::{Context, stored_name};
use crate::cli::error::{Error, status};
use crate::fuse::MountError;
use crate::mount::{self, Target};
use crate::oci::Reference;
use crate::store::Store;

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
