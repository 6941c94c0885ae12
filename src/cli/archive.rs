//! `save` and `load`: images in a file or a pipe.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::args::{Load, Save, SaveFormat};
use super::context::{Context, stored_name};
use super::error::Error;
use super::image_list::Names;
use super::progress::Progress;
use crate::archive::{self, ArchiveError, Item, Kind};
use crate::oci::{
    Compression, Descriptor, Document, ImageName, ImageSelector, LayerType, Reference,
};
use crate::pull;
use crate::source::{self, Options};
use crate::store::{NameRow, StoredImage};
use crate::sys::tmpfile::{self, Unpublished};

/// `shale save`
pub fn save(context: &mut Context, args: &Save) -> Result<(), Error> {
    let items = items(context, &args.images)?;
    let kind = match args.format {
        SaveFormat::DockerArchive => Kind::Docker,
        SaveFormat::OciArchive => Kind::Oci,
    };
    let store = context.store()?;
    let pins: Vec<_> = items.iter().flat_map(|item| item.image.pins()).collect();
    // Nothing of it may go while it is written.
    let _lease = store.lease(&pins)?;
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

/// Writes a file that gets its name when it is whole, so that a command that fails or is ended
/// leaves the old one, and nothing else.
pub(super) fn write_file<E: Into<Error>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), Error> {
    let at = |error: io::Error| Error::io(path.display())(error);
    // A device or a pipe is written as it is.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        let mut out = BufWriter::new(File::options().write(true).open(path).map_err(at)?);
        return write(&mut out).map_err(Into::into);
    }
    let file = Unpublished::new(path).map_err(at)?;
    {
        let mut out = BufWriter::with_capacity(1 << 16, file.file());
        write(&mut out).map_err(Into::into)?;
        out.flush().map_err(at)?;
    }
    file.publish().map_err(at)
}

/// Standard output did not take all of an archive. Whoever closed it may not know that something is
/// missing, as they would of a list of lines.
pub(super) fn cut_off(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => {
            Error::failed("standard output was closed before the archive was whole")
        }
        _ => Error::stdout(error),
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

/// `shale load`
pub fn load(context: &mut Context, args: &Load) -> Result<(), Error> {
    let limits = args.limits.all();
    let options = Options { limits, ..Options::from_environment() };
    let spool = match &args.input {
        Some(_) => None,
        None => Some(Spool::of_stdin(&options.temporary)?),
    };
    let path = match (&args.input, &spool) {
        (Some(path), _) => path.clone(),
        (None, Some(spool)) => spool.path.clone(),
        (None, None) => return Ok(()),
    };
    let images = images_in(&path, &options).map_err(|error| match &spool {
        Some(spool) => error.about(&spool.path.display().to_string(), "standard input"),
        None => error,
    })?;
    let store = context.store()?;
    for (name, names) in images {
        let source = source::open(&name, &options)?;
        let progress = Progress::new(context.quiet, context.out.can_draw());
        let first = names.first().map(Reference::canonical);
        let options = pull::Options { limits, ..pull::Options::default() };
        let loaded = pull::pull(&store, &*source, first.as_deref(), &options, &progress);
        progress.clear();
        let image = loaded?.image;
        for other in names.iter().skip(1) {
            let manifest = image.manifest.clone();
            store.set_name(NameRow { name: Some(other.canonical()), manifest, origin: None })?;
        }
        for name in &names {
            context.out.line(&format!("Loaded image: {}", name.familiar()))?;
        }
        if names.is_empty() {
            context.out.line(&format!("Loaded image ID: {}", image.id))?;
        }
    }
    Ok(())
}

/// The images of a file or directory, with the names that they have there.
fn images_in(path: &Path, options: &Options) -> Result<Vec<(ImageName, Vec<Reference>)>, Error> {
    let (path, image) = (path.to_owned(), ImageSelector::Only);
    if path.is_dir() {
        return Ok(source::images(&ImageName::OciLayout { path, image }, options)?);
    }
    let docker = ImageName::DockerArchive { path: path.clone(), image: image.clone() };
    let oci = source::images(&ImageName::OciArchive { path, image }, options);
    match (source::images(&docker, options), oci) {
        // Both: Docker's list does not know the manifest that the layers were pulled with.
        (Ok(_), Ok(images)) if as_pulled(&images, options) => Ok(images),
        (Ok(images), _) | (Err(_), Ok(images)) => Ok(images),
        // Neither: the words on Docker's form are those that people expect.
        (Err(error), Err(_)) => Err(error.into()),
    }
}

/// Whether these are manifests with compressed layers, as an OCI archive has them.
fn as_pulled(images: &[(ImageName, Vec<Reference>)], options: &Options) -> bool {
    let compressed = |name: &ImageName| {
        let root = source::open(name, options).and_then(|source| source.root()).ok()?;
        let parsed = Document::parse(&root.bytes, &root.descriptor.media_type).ok()?;
        let Document::Manifest(manifest) = parsed else { return None };
        let plain = |layer: &Descriptor| {
            LayerType::of(&layer.media_type).is_none_or(|t| t.compression == Compression::None)
        };
        Some(!manifest.layers.iter().any(plain))
    };
    !images.is_empty() && images.iter().all(|(name, _)| compressed(name) == Some(true))
}

/// Standard input in a file, because archives are read here and there. The file has no name of its
/// own, so it is gone with the process.
struct Spool {
    path: PathBuf,
    _file: File,
}

impl Spool {
    fn of_stdin(directory: &Path) -> Result<Self, Error> {
        let mut input = io::stdin().lock();
        if input.is_terminal() {
            return Err(Error::failed("standard input is a terminal, not an archive")
                .hint("say which file with `-i FILE`, or send it through a pipe"));
        }
        let at = |error: io::Error| Error::io(directory.display())(error);
        let mut file = tmpfile::unnamed(directory).map_err(at)?;
        if io::copy(&mut input, &mut file).map_err(at)? == 0 {
            return Err(Error::failed("standard input is empty, and no archive")
                .hint("say which file with `-i FILE`"));
        }
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        Ok(Self { path, _file: file })
    }
}
