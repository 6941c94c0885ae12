//! `rm`, `tag`, `prune`: names and images go, or get another name.

use std::io::{self, BufRead, Write};

use super::args::{Prune as PruneArgs, Remove, Tag};
use super::context::{Context, stored_name};
use super::error::{Error, status};
use super::filter::{Filters, ImageFilter, PRUNE_KEYS};
use super::suggest::explain;
use super::units;
use crate::oci::Reference;
use crate::store::{Prune, Pruned, StoreError};
use crate::{mount, pull};

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

/// The short form of a full reference.
pub fn familiar(name: &str) -> String {
    name.parse::<Reference>().map_or_else(|_| name.to_owned(), |name| name.familiar())
}

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

/// `shale prune`
pub fn prune(context: &mut Context, args: &PruneArgs) -> Result<(), Error> {
    let filters = Filters::parse(&args.filter, &PRUNE_KEYS)?;
    filters.at_most_one("until")?;
    let filter = ImageFilter::new(filters, context)?;
    let all = args.all || filter.dangling == Some(false);
    if !args.force && !confirm(context, all)? {
        return Ok(());
    }
    let store = context.store()?;
    // Mounts that have lost their servers hold nothing.
    mount::clean(&store)?;
    let content = pull::content_of(&store);
    let pruned = store.prune(&Prune {
        all,
        filter: &|image| filter.takes(image),
        content: &content,
        dry_run: false,
    })?;
    report(context, &pruned)
}

fn confirm(context: &mut Context, all: bool) -> Result<bool, Error> {
    let which = if all { "all images that are not mounted" } else { "all images without a tag" };
    context.out.flush()?;
    let question =
        format!("WARNING! This will remove {which}.\nAre you sure you want to continue? [y/N] ");
    // The answer decides, whether the question was seen or not.
    let _ = io::stderr().write_all(question.as_bytes());
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Error::io("standard input"))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn report(context: &mut Context, pruned: &Pruned) -> Result<(), Error> {
    if !pruned.images.is_empty() {
        context.out.line("Deleted Images:")?;
        for image in &pruned.images {
            for name in &image.untagged {
                context.out.line(&format!("untagged: {}", familiar(name)))?;
            }
            for digest in &image.deleted {
                context.out.line(&format!("deleted: {digest}"))?;
            }
        }
        context.out.line("")?;
    }
    context.out.line(&format!("Total reclaimed space: {}", units::size_with(pruned.reclaimed, 4)))
}
