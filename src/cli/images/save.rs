//! `save`: images in one archive, in a file or a pipe.

use std::io::{self, BufWriter, IsTerminal};

use crate::archive::{self, ArchiveError, Item, Kind};
use crate::cli::args::{Save, SaveFormat};
use crate::cli::context::{Context, stored_name};
use crate::cli::error::Error;
use crate::cli::images::rows::Names;
use crate::cli::terminal::{cut_off, write_file};
use crate::oci::Reference;
use crate::store::StoredImage;

/// `shale save`
pub fn save(context: &mut Context, args: &Save) -> Result<(), Error> {
    let items = items(context, &args.images)?;
    let kind = match args.format {
        SaveFormat::DockerArchive => Kind::Docker,
        SaveFormat::OciArchive => Kind::Oci,
    };
    let store = context.store()?;
    // Nothing of it may go while it is written.
    let holds = items.iter().map(|item| store.hold(&item.image));
    let _holds = holds.collect::<Result<Vec<_>, _>>()?;
    match &args.output {
        Some(path) => write_file(path, |out| archive::write(&store, &items, kind, out)),
        None if io::stdout().is_terminal() => {
            Err(Error::failed("standard output is a terminal, and an archive is not for reading")
                .hint("say where it goes with `-o FILE`, or send it through a pipe"))
        }
        None => {
            let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
            match archive::write(&store, &items, kind, out) {
                Err(ArchiveError::Write(error)) => Err(cut_off(error)),
                other => Ok(other?),
            }
        }
    }
}

/// What to save: an image under the name that was given, without one when it was given by ID. A
/// repository without a tag stands for all its tags, as in Docker.
fn items(context: &mut Context, texts: &[String]) -> Result<Vec<Item>, Error> {
    let store = context.store()?;
    let mut items: Vec<Item> = Vec::new();
    let mut add = |image: StoredImage, names: Vec<Reference>| {
        let same = items.iter_mut().find(|item| item.image.manifest == image.manifest);
        match same {
            Some(item) => {
                for name in names {
                    if !item.names.contains(&name) {
                        item.names.push(name);
                    }
                }
            }
            None => items.push(Item { image, names }),
        }
    };
    for text in texts {
        let reference = stored_name(text).parse::<Reference>().ok();
        let repository = reference.as_ref().filter(|reference| reference.is_default_tag());
        let mut found = false;
        if let Some(repository) = repository {
            for image in store.images()?.whole {
                let tags = Names::of(&image).tags.into_iter();
                let names: Vec<_> = tags.filter(|tag| tag.name() == repository.name()).collect();
                if !names.is_empty() {
                    found = true;
                    add(image, names);
                }
            }
        }
        if !found {
            let image = context.image(text)?;
            let canonical = reference.filter(|name| name.digest().is_none());
            let name = canonical.filter(|name| image.names.contains(&name.canonical()));
            add(image, name.into_iter().collect());
        }
    }
    Ok(items)
}
