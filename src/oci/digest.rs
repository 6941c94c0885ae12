//! Digests as the OCI image specification writes them (descriptor.md, "Digests").
//!
//! A [`Digest`] is parsed once and is then a small `Copy` value; its hex text holds nothing but
//! `0-9a-f`, so it may be part of a path. [`DiffId`] and [`ChainId`] are digests with a meaning,
//! kept apart by type because they look alike and mixing them up yields a wrong tree.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// A hash algorithm that the specification registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, the one that everybody uses.
    Sha256,
    /// SHA-512, allowed by the specification.
    Sha512,
}

impl Algorithm {
    /// The name before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of the hash in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no hash is empty")]
    pub fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No `ALGORITHM:` in front.
    #[error("digest {0:?} has no algorithm before a colon")]
    NoAlgorithm(String),
    /// An algorithm that this program does not know.
    #[error("digest {0:?} has an unsupported algorithm (sha256 and sha512 are known)")]
    UnknownAlgorithm(String),
    /// Wrong length, or anything but lower-case hexadecimal digits.
    #[error("digest {0:?} is not {1} lower-case hexadecimal digits")]
    BadHex(String, usize),
}

/// A checked digest: algorithm and hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// The hash; bytes past the algorithm's length are zero.
    bytes: [u8; 64],
}

impl Digest {
    /// Hashes `bytes` whole.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// SHA-256 of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, bytes)
    }

    /// The digest with these bytes; `None` when they are not as many as the algorithm makes.
    pub fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Option<Self> {
        let mut bytes = [0; 64];
        bytes.get_mut(..hash.len())?.copy_from_slice(hash);
        (hash.len() == algorithm.len()).then_some(Self { algorithm, bytes })
    }

    /// Which algorithm made it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.len()]
    }

    /// The text after the colon.
    pub fn hex(&self) -> String {
        hex(self.as_bytes())
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, digits) =
            text.split_once(':').ok_or_else(|| DigestError::NoAlgorithm(text.to_owned()))?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(DigestError::UnknownAlgorithm(text.to_owned())),
        };
        let bad = || DigestError::BadHex(text.to_owned(), algorithm.len() * 2);
        if digits.len() != algorithm.len() * 2 {
            return Err(bad());
        }
        let mut bytes = [0; 64];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0]).ok_or_else(bad)? << 4 | nibble(pair[1]).ok_or_else(bad)?;
        }
        Ok(Self { algorithm, bytes })
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Not by way of `{:02x}`: a mount of a thousand layers writes many thousands of these.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    text.extend(halves.filter_map(|half| char::from_digit(half.into(), 16)));
    text
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A digest in the making.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// Starts with no bytes seen.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hasher) => hasher.update(bytes),
            State::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest of everything added.
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 64];
        let algorithm = match self.0 {
            State::Sha256(hasher) => {
                bytes[..32].copy_from_slice(&hasher.finalize());
                Algorithm::Sha256
            }
            State::Sha512(hasher) => {
                bytes.copy_from_slice(&hasher.finalize());
                Algorithm::Sha512
            }
        };
        Digest { algorithm, bytes }
    }
}

/// The digest of a layer's uncompressed tar, as the image's config lists it (config.md, "Layer
/// DiffID"). It covers every byte of the stream, those after the end of the archive too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DiffId(pub Digest);

/// The identity of a stack of layers (config.md, "Layer ChainID").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChainId(pub Digest);

impl ChainId {
    /// The ChainID of `layers`, bottom first; `None` for an image without layers.
    pub fn of(layers: &[DiffId]) -> Option<Self> {
        Self::all(layers).last()
    }

    /// The same; an image without layers has the digest of nothing, so that its empty tree has a
    /// key too.
    pub fn or_empty(layers: &[DiffId]) -> Self {
        Self::of(layers).unwrap_or_else(|| Self(Digest::sha256(b"")))
    }

    /// The ChainIDs of the lowest layer, the lowest two, and so on to all of them.
    pub fn all(layers: &[DiffId]) -> impl Iterator<Item = Self> + '_ {
        let mut below: Option<Self> = None;
        layers.iter().map(move |layer| {
            let chain = match below {
                None => Self(layer.0),
                Some(below) => Self(Digest::sha256(format!("{} {}", below.0, layer.0).as_bytes())),
            };
            below = Some(chain);
            chain
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn text_and_back() {
        assert_eq!(Digest::sha256(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().expect("valid"), Digest::sha256(b""));
        let long = Digest::of(Algorithm::Sha512, b"x").to_string();
        assert_eq!(long.parse::<Digest>().expect("valid").to_string(), long);
    }

    #[test]
    fn what_is_not_a_digest() {
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        for text in ["", "sha256", "sha256:", "md5:abcd", "sha256:../../etc/passwd", &upper] {
            assert!(text.parse::<Digest>().is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn chain_id_of_one_layer_is_its_diff_id() {
        let a = DiffId(Digest::sha256(b"a"));
        let b = DiffId(Digest::sha256(b"b"));
        assert_eq!(ChainId::of(&[]), None);
        assert_eq!(ChainId::of(&[a]), Some(ChainId(a.0)));
        let text = format!("{} {}", a.0, b.0);
        assert_eq!(ChainId::of(&[a, b]), Some(ChainId(Digest::sha256(text.as_bytes()))));
    }
}
