//! What the store calls an image that came from a layout or an archive.
//!
//! A name that says what it is (`docker.io/library/debian:12`, `debian:12`) is kept. A bare tag or
//! nothing gets a repository: `localhost/` and the name of the directory or file, as podman does.
//! So the same words on the command line always mean the same image of the store.

use std::path::Path;

use crate::cli::error::Error;
use crate::oci::{ImageName, ImageSelector, Reference};

/// The name for an image that `name` stands for.
pub fn reference(name: &ImageName) -> Result<Reference, Error> {
    let (path, image) = match name {
        ImageName::Registry(reference) => return Ok(reference.clone()),
        ImageName::OciLayout { path, image }
        | ImageName::OciArchive { path, image }
        | ImageName::DockerArchive { path, image } => (path, image),
    };
    let tag = match image {
        ImageSelector::Named(text) if text.contains(['/', ':', '@']) => {
            return text.parse().map_err(|error| Error::usage(format!("{name}: {error}")));
        }
        ImageSelector::Named(tag) => tag.clone(),
        ImageSelector::Position(position) => format!("image-{position}"),
        ImageSelector::Only => "latest".to_owned(),
    };
    let text = format!("localhost/{}:{}", component(path), sane_tag(&tag));
    text.parse().map_err(|error| Error::usage(format!("{name}: {error}")))
}

/// A path's last name as a component of a repository.
fn component(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let stem = absolute.file_name().map(|name| name.to_string_lossy().to_lowercase());
    let stem = stem.unwrap_or_default();
    let stem = stem.strip_suffix(".tar").unwrap_or(&stem);
    let words: Vec<&str> =
        stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "image".to_owned() } else { words.join("-") }
}

fn sane_tag(tag: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let tag: String = tag.chars().map(|c| if legal(c) { c } else { '-' }).take(128).collect();
    match tag.trim_start_matches(['.', '-']) {
        "" => "latest".to_owned(),
        tag => tag.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_local_images() {
        for (text, wanted) in [
            ("oci:/a/My Layout_2:v1", "localhost/my-layout-2:v1"),
            ("oci:/a/layout", "localhost/layout:latest"),
            ("oci:/:x", "localhost/image:x"),
            ("oci:/a/l:docker.io/library/debian:12", "docker.io/library/debian:12"),
            ("docker-archive:/x/debian.tar:debian:12", "docker.io/library/debian:12"),
            ("docker-archive:/x/debian.tar:@1", "localhost/debian:image-1"),
            ("oci-archive:/x/d.tar:-odd tag", "localhost/d:odd-tag"),
            ("debian:12", "docker.io/library/debian:12"),
        ] {
            let name = text.parse().expect(text);
            assert_eq!(reference(&name).expect(text).to_string(), wanted);
        }
    }
}
