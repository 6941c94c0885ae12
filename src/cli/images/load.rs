//! `load`: the images of an archive or layout, under the names that they have there.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::cli::args::Load;
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::terminal::Progress;
use crate::oci::{
    Compression, Descriptor, Document, ImageName, ImageSelector, LayerType, Reference,
};
use crate::pull;
use crate::source::{self, Options};
use crate::store::NameRow;
use crate::sys::tmpfile;

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
