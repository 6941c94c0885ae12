//! One layer against its table: headers quickly, or everything by walking the layer again.

use std::io;
use std::path::Path;

use super::super::documents::ImageLayer;
use super::{reopen, unnamed_file};
use crate::layer::seekable::Seekable;
use crate::layer::span::{Access, Span};
use crate::layer::toc::Header;
use crate::layer::{self, Outputs, ScanError, Toc, TocError};
use crate::limits::Limits;
use crate::store::verify::{Code, Findings, Remedy};
use crate::store::{Derived, Store};

/// Checks the table and the seekable form of a layer; with `deep` also the layer itself.
pub(super) fn check(
    store: &Store,
    layer: &ImageLayer,
    deep: bool,
    limits: &Limits,
    findings: &mut Findings<'_>,
) {
    let digest = layer.descriptor.digest;
    let path = store.derived_path(Derived::Toc, &digest.into());
    let toc = match store.open_derived(Derived::Toc, digest) {
        Ok(Some(file)) => match open(file, layer) {
            Ok(toc) => Some(toc),
            Err((code, detail)) => {
                findings.add(code, digest, &path, detail, Remedy::Remove);
                None
            }
        },
        // A missing table is made by the next mount or pull.
        _ => None,
    };
    if deep {
        walk_again(store, layer, limits, toc.as_ref(), &path, findings);
    }
    if let Some(toc) = toc.filter(|toc| toc.header().kept > 0) {
        let path = store.derived_path(Derived::Seekable, &digest.into());
        let Ok(Some(file)) = store.open_derived(Derived::Seekable, digest) else { return };
        let opened = Seekable::open(file, &digest, toc.header().kept);
        let checked =
            opened.and_then(|form| if deep { check_seekable(&form, &toc) } else { Ok(()) });
        if let Err(error) = checked {
            findings.add(Code::TableDamaged, digest, &path, error.to_string(), Remedy::Remove);
        }
    }
}

/// Opens a table and looks whether it is this layer's.
fn open(file: std::fs::File, layer: &ImageLayer) -> Result<Toc, (Code, String)> {
    let toc = Toc::open(file).map_err(|error| {
        let stale = matches!(error, TocError::Version(_));
        (if stale { Code::TableStale } else { Code::TableDamaged }, error.to_string())
    })?;
    let Header { source, diff_id, source_size, .. } = toc.header();
    if *source != layer.descriptor.digest || *source_size != layer.descriptor.size {
        return Err((Code::TableForeign, format!("it was made from {source}")));
    }
    if *diff_id != layer.diff_id {
        return Err((Code::TableForeign, format!("it says that the DiffID is {}", diff_id.0)));
    }
    Ok(toc)
}

fn walk_again(
    store: &Store,
    layer: &ImageLayer,
    limits: &Limits,
    toc: Option<&Toc>,
    path: &Path,
    findings: &mut Findings<'_>,
) {
    let digest = layer.descriptor.digest;
    let blob = store.blob_path(&digest);
    let walked = fresh(store, layer, limits);
    let fresh = match walked {
        Ok(Some(fresh)) => fresh,
        Ok(None) => return,
        Err(error) => {
            let (code, remedy) = match &error {
                ScanError::Digest { .. } => (Code::BlobDigest, Remedy::Refetch(digest)),
                ScanError::Size { .. } => (Code::BlobTruncated, Remedy::Refetch(digest)),
                ScanError::DiffId { .. } => (Code::DiffId, Remedy::None),
                ScanError::Read { .. } | ScanError::Write { .. } | ScanError::Thread { .. } => {
                    (Code::Unreadable, Remedy::None)
                }
                _ => (Code::BadLayer, Remedy::None),
            };
            return findings.add(code, digest, &blob, error.to_string(), remedy);
        }
    };
    let Some(toc) = toc else { return };
    if let Err(what) = compare(toc, &fresh) {
        findings.add(Code::TableDamaged, digest, path, what, Remedy::Remove);
    }
}

/// The table that a fresh walk gives; `None` when the blob vanished.
fn fresh(store: &Store, layer: &ImageLayer, limits: &Limits) -> Result<Option<Toc>, ScanError> {
    let digest = layer.descriptor.digest;
    let Ok(Some(blob)) = store.blob(&digest, None) else { return Ok(None) };
    let Ok(file) = store.open_blob(&blob) else { return Ok(None) };
    let failed = |source| ScanError::Write { blob: digest, what: "table of contents", source };
    let mut table = unnamed_file().map_err(failed)?;
    let outputs = Outputs { blob: io::sink(), toc: &mut table, seekable: None::<io::Sink> };
    layer::scan(file, outputs, &layer.expected(), limits, &|_| {})?;
    reopen(table).map(Some).map_err(failed)
}

/// Whether two tables say the same; what differs when they do not.
fn compare(stored: &Toc, fresh: &Toc) -> Result<(), String> {
    let damaged = |error: TocError| error.to_string();
    if stored.header() != fresh.header() {
        return Err("its header is not what a fresh walk gives".into());
    }
    for (number, (old, new)) in stored.entries().zip(fresh.entries()).enumerate() {
        if old.map_err(damaged)? != new.map_err(damaged)? {
            return Err(format!("entry {number} is not what a fresh walk gives"));
        }
    }
    for (old, new) in stored.warnings().zip(fresh.warnings()) {
        if old.map_err(damaged)? != new.map_err(damaged)? {
            return Err("its warnings are not what a fresh walk gives".into());
        }
    }
    let (old, new) = (stored.spans().map_err(damaged)?, fresh.spans().map_err(damaged)?);
    for (number, (old, new)) in old.iter().zip(new.iter()).enumerate() {
        let what = || format!("span {number} is not what a fresh walk gives");
        let (old, old_window) = without_window(stored, old).map_err(damaged)?;
        let (new, new_window) = without_window(fresh, new).map_err(damaged)?;
        if old != new || old_window != new_window {
            return Err(what());
        }
    }
    Ok(())
}

/// A span with its window's bytes: where the window is in the file does not matter.
fn without_window(toc: &Toc, span: Span) -> Result<(Span, Option<Vec<u8>>), TocError> {
    match span.access {
        Access::Block { offset, bits, window } => {
            let access = Access::Start { offset: offset * 8 + u64::from(bits) };
            Ok((Span { access, ..span }, Some(toc.window(window)?)))
        }
        _ => Ok((span, None)),
    }
}

fn check_seekable(form: &Seekable, toc: &Toc) -> io::Result<()> {
    let mut bytes = Vec::new();
    for span in toc.spans().map_err(io::Error::other)?.iter() {
        if let Access::Kept { frame } = span.access {
            form.read(frame, span.length, &mut bytes)?;
            if blake3::hash(&bytes) != blake3::Hash::from(span.digest) {
                return Err(io::Error::other(format!("frame {frame} has other bytes")));
            }
        }
    }
    Ok(())
}
