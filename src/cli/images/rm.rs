//! `rm`: names go, and the images that have no other.

use crate::cli::args::Remove;
use crate::cli::context::{Context, familiar, stored_name};
use crate::cli::error::suggest::explain;
use crate::cli::error::{Error, status};
use crate::pull;
use crate::store::StoreError;

/// `shale rm`: goes on past errors.
pub fn remove(context: &mut Context, args: &Remove) -> Result<(), Error> {
    let store = context.store()?;
    let content = pull::content_of(&store);
    let mut failed = false;
    for text in &args.images {
        match store.remove(&stored_name(text), args.force, &content) {
            Ok(removed) => {
                for name in &removed.untagged {
                    context.out.line(&format!("Untagged: {}", familiar(name)))?;
                }
                for digest in &removed.deleted {
                    context.out.line(&format!("Deleted: {digest}"))?;
                }
            }
            // As Docker: forced, the absence is what was wanted.
            Err(StoreError::NoSuchImage { .. }) if args.force => {
                context.out.message(&format!("shale: no such image: {text}"));
            }
            Err(error) => {
                failed = true;
                context.out.error(&explain(&store, text, error));
            }
        }
    }
    if failed { Err(Error::Said { status: status::FAILED }) } else { Ok(()) }
}
