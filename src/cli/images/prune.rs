//! `prune`: images without a tag go, or all that are not mounted, and what no image needs.

use std::io::{self, BufRead, Write};

use crate::cli::args::Prune as PruneArgs;
use crate::cli::context::{Context, familiar};
use crate::cli::error::Error;
use crate::cli::filter::{Filters, ImageFilter, PRUNE_KEYS};
use crate::cli::format::units;
use crate::store::{Prune, Pruned};
use crate::{mount, pull};

/// `shale prune`
pub fn prune(context: &mut Context, args: &PruneArgs) -> Result<(), Error> {
    let filters = Filters::parse(&args.filter, &PRUNE_KEYS)?;
    filters.at_most_one("until")?;
    let filter = ImageFilter::new(filters, context)?;
    if let Some(dangling) = filter.dangling.filter(|dangling| *dangling == args.all) {
        // As Docker: `-a` is about all images, and without it only those that dangle are pruned.
        let own = !args.all;
        return Err(Error::failed(format!(
            "--filter: invalid filter 'dangling=[{dangling} {own}]'"
        ))
        .hint("`--all` takes all images that are not in use; without it dangling ones are"));
    }
    let all = args.all;
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
