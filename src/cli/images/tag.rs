//! `tag`: another name for an image.

use crate::cli::args::Tag;
use crate::cli::context::{Context, stored_name};
use crate::cli::error::Error;
use crate::cli::error::suggest::explain;
use crate::oci::Reference;
use crate::store::StoreError;

/// `shale tag`
pub fn tag(context: &mut Context, args: &Tag) -> Result<(), Error> {
    let target = args.target.parse::<Reference>();
    let target = target.map_err(|error| Error::failed(format!("{}: {error}", args.target)))?;
    if target.digest().is_some() {
        return Err(Error::failed(format!(
            "{}: refusing to create a tag with a digest reference",
            args.target
        )));
    }
    if target.familiar_name() == "sha256" {
        return Err(Error::failed(format!(
            "{}: refusing to create an ambiguous tag using digest algorithm as name",
            args.target
        )));
    }
    let store = context.store()?;
    let tagged = store.tag(&stored_name(&args.source), &target.canonical());
    tagged.map_err(|error| {
        let turned = store.open_image(&stored_name(&args.target)).is_ok();
        match error {
            StoreError::NoSuchImage { .. } if turned => Error::from(error).hint(format!(
                "the image comes first, then its new name: `shale tag {} {}`",
                args.target, args.source
            )),
            error => explain(&store, &args.source, error),
        }
    })
}
