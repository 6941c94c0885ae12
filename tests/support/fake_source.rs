//! A source in memory that counts what it is asked for and can go wrong on request.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Mutex;

use shalefs::oci::{Descriptor, Digest};
use shalefs::source::{Fetched, Source, SourceError};

use crate::support::images::TestImage;

/// What a fetch of a blob does instead of its duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The stream fails after this many bytes.
    CutAfter(u64),
    /// Every byte is another.
    WrongBytes,
    /// Wrong bytes the first time, the right ones then.
    WrongOnce,
}

/// One root document and the blobs that belong to it.
#[derive(Debug)]
pub struct FakeSource {
    pub root: Fetched,
    pub blobs: HashMap<Digest, Vec<u8>>,
    pub trouble: Mutex<HashMap<Digest, Trouble>>,
    /// `(digest, offset)` of every fetch of a blob.
    pub fetches: Mutex<Vec<(Digest, u64)>>,
}

impl FakeSource {
    /// The source of one image.
    pub fn of(image: &TestImage) -> Self {
        let root = Fetched { descriptor: image.descriptor(), bytes: image.manifest.clone() };
        let blobs = image.blobs().into_iter().map(|(d, bytes)| (d, bytes.to_owned())).collect();
        Self { root, blobs, trouble: Mutex::default(), fetches: Mutex::default() }
    }

    /// The source of a list of images, each for an architecture.
    pub fn list(images: &[(&TestImage, &str)]) -> Self {
        let entry = |(image, architecture): &(&TestImage, &str)| {
            let manifest = image.descriptor();
            serde_json::json!({
                "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size,
                "platform": { "os": "linux", "architecture": architecture },
            })
        };
        let media_type = "application/vnd.oci.image.index.v1+json";
        let entries: Vec<_> = images.iter().map(entry).collect();
        let bytes = serde_json::to_vec(&serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type, "manifests": entries,
        }))
        .unwrap();
        let descriptor = Descriptor::new(media_type, Digest::sha256(&bytes), bytes.len() as u64);
        let all = images.iter().flat_map(|(image, _)| image.blobs());
        let blobs = all.map(|(digest, bytes)| (digest, bytes.to_owned())).collect();
        let root = Fetched { descriptor, bytes };
        Self { root, blobs, trouble: Mutex::default(), fetches: Mutex::default() }
    }

    pub fn set_trouble(&self, digest: Digest, trouble: Trouble) {
        self.trouble.lock().unwrap().insert(digest, trouble);
    }

    /// Which blobs were fetched, and from where on; emptied.
    pub fn take_fetches(&self) -> Vec<(Digest, u64)> {
        let mut fetches = std::mem::take(&mut *self.fetches.lock().unwrap());
        fetches.sort();
        fetches
    }
}

impl Source for FakeSource {
    fn root(&self) -> Result<Fetched, SourceError> {
        Ok(self.root.clone())
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        let missing = || SourceError::Missing { place: "fake".into(), digest: descriptor.digest };
        self.blobs.get(&descriptor.digest).cloned().ok_or_else(missing)
    }

    fn blob(
        &self,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<Box<dyn Read + Send>, SourceError> {
        let digest = descriptor.digest;
        self.fetches.lock().unwrap().push((digest, offset));
        let from = usize::try_from(offset).unwrap();
        let mut bytes = self.blobs[&digest][from..].to_owned();
        let mut troubles = self.trouble.lock().unwrap();
        match troubles.get(&digest).copied() {
            None => Ok(Box::new(io::Cursor::new(bytes))),
            Some(Trouble::CutAfter(count)) => {
                let first = io::Cursor::new(bytes).take(count);
                Ok(Box::new(first.chain(Broken)))
            }
            Some(trouble) => {
                if trouble == Trouble::WrongOnce {
                    troubles.remove(&digest);
                }
                bytes.iter_mut().for_each(|byte| *byte = !*byte);
                Ok(Box::new(io::Cursor::new(bytes)))
            }
        }
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the line is cut"))
    }
}
