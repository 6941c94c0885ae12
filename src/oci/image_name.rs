//! What a user types to name an image: a reference, or a transport and a place in it
//! (containers-transports(5)).
//!
//! Paths are bytes and need not be UTF-8. As in podman and skopeo a path ends at the first colon,
//! so a path with a colon cannot be named this way.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Reference, ReferenceError};

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ImageName {
    /// `docker://REF` or a bare reference: in a registry (or already in the store).
    Registry(Reference),
    /// `oci:DIR[:TAG]`: in an OCI image layout.
    OciLayout {
        /// The directory.
        path: PathBuf,
        /// Which image of it.
        image: ImageSelector,
    },
    /// `oci-archive:FILE[:TAG]`: in a tar of an OCI image layout.
    OciArchive {
        /// The file.
        path: PathBuf,
        /// Which image of it.
        image: ImageSelector,
    },
    /// `docker-archive:FILE[:REF]`: in the output of `docker save`.
    DockerArchive {
        /// The file.
        path: PathBuf,
        /// Which image of it.
        image: ImageSelector,
    },
}

/// Which image of several in one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ImageSelector {
    /// The only one.
    Only,
    /// The one of this name: an OCI layout's `ref.name`, a docker archive's tag.
    Named(String),
    /// `@N`: the N-th, from 0.
    Position(usize),
}

/// Why a text names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageNameError {
    /// Not a reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A transport without a path.
    #[error("{0:?} names no file or directory after the transport")]
    NoPath(String),
    /// A transport without a name after its colon.
    #[error("{0:?} has nothing after the last colon; leave the colon out")]
    NoImage(String),
    /// A name that is not UTF-8.
    #[error("{0:?} is not valid UTF-8")]
    NotText(OsString),
    /// A transport of containers-transports(5) that Shale does not have.
    #[error("transport {0:?} is not supported (oci, oci-archive, docker-archive and docker are)")]
    Transport(String),
}

/// Transports that other tools have, so that their names are not taken for references.
const UNSUPPORTED: [&str; 6] =
    ["containers-storage", "dir", "docker-daemon", "ostree", "sif", "tarball"];

impl ImageName {
    /// Parses what stood on the command line.
    ///
    /// # Errors
    /// When it is neither a reference nor a known transport with a path.
    pub fn parse(text: &OsStr) -> Result<Self, ImageNameError> {
        let bytes = text.as_bytes();
        if let Some(rest) = bytes.strip_prefix(b"docker://") {
            return Ok(Self::Registry(utf8(rest)?.parse()?));
        }
        let transport = |name: &str| {
            bytes.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b":"))
        };
        if let Some(rest) = transport("oci") {
            let (path, image) = split(text, rest)?;
            return Ok(Self::OciLayout { path, image });
        }
        if let Some(rest) = transport("oci-archive") {
            let (path, image) = split(text, rest)?;
            return Ok(Self::OciArchive { path, image });
        }
        if let Some(rest) = transport("docker-archive") {
            let (path, image) = split(text, rest)?;
            return Ok(Self::DockerArchive { path, image });
        }
        match UNSUPPORTED.iter().find(|name| transport(name).is_some_and(is_no_tag)) {
            Some(name) => Err(ImageNameError::Transport((*name).to_owned())),
            None => Ok(Self::Registry(utf8(bytes)?.parse()?)),
        }
    }

    /// The reference, when the image is in a registry.
    pub fn reference(&self) -> Option<&Reference> {
        match self {
            Self::Registry(reference) => Some(reference),
            _ => None,
        }
    }

    /// The image at `position` in the same place; a registry's image stays what it is.
    #[must_use]
    pub fn with_position(&self, position: usize) -> Self {
        let mut name = self.clone();
        match &mut name {
            Self::Registry(_) => {}
            Self::OciLayout { image, .. }
            | Self::OciArchive { image, .. }
            | Self::DockerArchive { image, .. } => *image = ImageSelector::Position(position),
        }
        name
    }

    /// The file or directory, when the image is in one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Registry(_) => None,
            Self::OciLayout { path, .. }
            | Self::OciArchive { path, .. }
            | Self::DockerArchive { path, .. } => Some(path),
        }
    }
}

/// `dir:latest` is a repository `dir` with a tag; `dir:/some/where` is not.
fn is_no_tag(rest: &[u8]) -> bool {
    rest.iter().any(|byte| matches!(byte, b'/' | b':' | b'['))
}

fn utf8(bytes: &[u8]) -> Result<&str, ImageNameError> {
    std::str::from_utf8(bytes)
        .map_err(|_| ImageNameError::NotText(OsStr::from_bytes(bytes).to_owned()))
}

/// `PATH[:IMAGE]` of `text`.
fn split(text: &OsStr, rest: &[u8]) -> Result<(PathBuf, ImageSelector), ImageNameError> {
    let (path, image) = match rest.iter().position(|byte| *byte == b':') {
        Some(colon) => (&rest[..colon], Some(&rest[colon + 1..])),
        None => (rest, None),
    };
    if path.is_empty() {
        return Err(ImageNameError::NoPath(text.to_string_lossy().into_owned()));
    }
    let image = match image.map(utf8).transpose()? {
        None => ImageSelector::Only,
        Some("") => return Err(ImageNameError::NoImage(text.to_string_lossy().into_owned())),
        Some(name) => match name.strip_prefix('@').map(str::parse) {
            Some(Ok(position)) => ImageSelector::Position(position),
            _ => ImageSelector::Named(name.to_owned()),
        },
    };
    Ok((PathBuf::from(OsStr::from_bytes(path)), image))
}

impl FromStr for ImageName {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, ImageNameError> {
        Self::parse(OsStr::new(text))
    }
}

impl fmt::Display for ImageSelector {
    /// With the colon in front; nothing for the only one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => Ok(()),
            Self::Named(name) => write!(f, ":{name}"),
            Self::Position(position) => write!(f, ":@{position}"),
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => write!(f, "{reference}"),
            Self::OciLayout { path, image } => write!(f, "oci:{}{image}", path.display()),
            Self::OciArchive { path, image } => write!(f, "oci-archive:{}{image}", path.display()),
            Self::DockerArchive { path, image } => {
                write!(f, "docker-archive:{}{image}", path.display())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports() {
        let named = |name: &str| ImageSelector::Named(name.to_owned());
        for (text, path, image) in [
            ("oci:/a/b", "/a/b", ImageSelector::Only),
            ("oci:./dir:v1", "./dir", named("v1")),
            ("oci:d:docker.io/library/debian:12", "d", named("docker.io/library/debian:12")),
            ("oci-archive:/x.tar", "/x.tar", ImageSelector::Only),
            ("oci-archive:/x.tar:t", "/x.tar", named("t")),
            ("docker-archive:x.tar", "x.tar", ImageSelector::Only),
            ("docker-archive:x.tar:debian:12", "x.tar", named("debian:12")),
            ("docker-archive:x.tar:@1", "x.tar", ImageSelector::Position(1)),
        ] {
            let name: ImageName = text.parse().expect(text);
            assert_eq!(name.path(), Some(Path::new(path)), "{text}");
            assert_eq!(name.to_string(), text);
            let found = match name {
                ImageName::OciLayout { image, .. }
                | ImageName::OciArchive { image, .. }
                | ImageName::DockerArchive { image, .. } => image,
                ImageName::Registry(_) => panic!("{text} is no registry's"),
            };
            assert_eq!(found, image, "{text}");
        }
    }

    #[test]
    fn references() {
        for (text, full) in [
            ("docker://debian", "docker.io/library/debian:latest"),
            ("debian:12", "docker.io/library/debian:12"),
            ("oci", "docker.io/library/oci:latest"),
            ("dir:latest", "docker.io/library/dir:latest"),
            ("oci.example/x", "oci.example/x:latest"),
        ] {
            assert_eq!(text.parse::<ImageName>().expect(text).to_string(), full);
        }
    }

    #[test]
    fn not_names() {
        for text in ["", "oci:", "oci::tag", "oci:dir:", "docker-archive:", "docker://", "dir:/x"] {
            assert!(text.parse::<ImageName>().is_err(), "{text:?}");
        }
        let bytes = OsStr::from_bytes(b"debian\xff");
        assert!(matches!(ImageName::parse(bytes), Err(ImageNameError::NotText(_))));
    }

    #[test]
    fn paths_need_not_be_text() {
        let name = ImageName::parse(OsStr::from_bytes(b"oci:/d\xff:t")).expect("valid");
        assert_eq!(name.path().map(|path| path.as_os_str().as_bytes()), Some(&b"/d\xff"[..]));
    }
}
