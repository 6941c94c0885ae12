//! A table file becomes an [`ImageTree`]; and what concerns the file as a whole.
//!
//! Opening trusts nothing: the counts in the header must add up to the file's length, header and
//! checks must match their seal. No row is touched, so the size of the image does not matter.

use std::fs::File;

use zerocopy::FromBytes;

use super::check::Body;
use super::format::{CHECK, Header, MAGIC, SEAL, Sections, VERSION, WarningHead, chain_fields};
use super::read::ImageTree;
use crate::layer::{Warning, WarningKind};
use crate::oci::ChainId;
use crate::sys::map::Map;
use crate::tree::{LayerWarning, OpenError, TableError};

impl ImageTree {
    /// Opens the table of `chain` in `file`: reads the header and the checks, no row.
    pub fn open(file: File, chain: ChainId) -> Result<Self, OpenError> {
        let table = || chain.0.to_string();
        let damaged = |what| OpenError::Table(TableError::Damaged { table: table(), what });
        let length = file.metadata().map_err(|source| OpenError::Map { table: table(), source })?;
        if length.len() < (size_of::<Header>() + SEAL) as u64 {
            return Err(damaged("the file is too short"));
        }
        let map = Map::new(&file).map_err(|source| OpenError::Map { table: table(), source })?;
        let (header, rest) =
            Header::read_from_prefix(&map).map_err(|_| damaged("the file is too short"))?;
        if header.magic != MAGIC {
            return Err(damaged("not a tree table"));
        }
        if header.version != VERSION {
            return Err(OpenError::Version { table: table(), found: header.version.get() });
        }
        let sections = Sections::of(&header).ok_or_else(|| damaged("impossible counts"))?;
        let checks = checks(&map, rest, &sections).map_err(damaged)?;
        if (header.algorithm, header.chain) != chain_fields(chain) {
            return Err(damaged("the table of another image"));
        }
        if header.rows == 0 {
            return Err(damaged("there is no root"));
        }
        let body = Body::new(map, size_of::<Header>(), sections.body, checks);
        Ok(Self { chain, header, sections, body })
    }

    /// Reads the whole table once and checks every checksum, for `pull` and `verify`.
    pub fn check(&self) -> Result<(), TableError> {
        self.body.bytes(0, self.sections.body).map(drop).map_err(|what| self.damaged(what))
    }

    /// What the merge found odd, in the order of layers; the first 10,000 of them.
    pub fn warnings(&self) -> Result<Vec<LayerWarning>, TableError> {
        let section = self.sections.warnings;
        let mut warnings = Vec::new();
        let mut at = 0;
        for _ in 0..self.header.warning_count.get() {
            let head = self.bytes(section, at, size_of::<WarningHead>() as u64)?;
            let head = WarningHead::ref_from_bytes(head)
                .map_err(|_| self.damaged("a warning is cut off"))?;
            at += size_of::<WarningHead>() as u64;
            let path = self.bytes(section, at, head.path_length.get().into())?.to_vec();
            at += u64::from(head.path_length.get());
            let kind = WarningKind::from_number(head.kind)
                .ok_or_else(|| self.damaged("a warning of unknown kind"))?;
            let warning = Warning { kind, path };
            warnings.push(LayerWarning { layer: head.layer.get().into(), warning });
        }
        Ok(warnings)
    }
}

/// The table of checks, once it is known to be whole: sealed together with the header.
fn checks(
    map: &[u8],
    after_header: &[u8],
    sections: &Sections,
) -> Result<Box<[[u8; CHECK]]>, &'static str> {
    let wrong_length = "the file's length does not match its header";
    let body = usize::try_from(sections.body).map_err(|_| wrong_length)?;
    let (_, tail) = after_header.split_at_checked(body).ok_or(wrong_length)?;
    let (checks, seal) = tail.split_last_chunk::<SEAL>().ok_or(wrong_length)?;
    let (checks, rest) = checks.as_chunks::<CHECK>();
    if checks.len() as u64 != sections.chunks() || !rest.is_empty() {
        return Err(wrong_length);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&map[..size_of::<Header>()]).update(checks.as_flattened());
    match hasher.finalize().as_bytes() == seal {
        true => Ok(checks.into()),
        false => Err("the header or the table of checks does not match its checksum"),
    }
}
