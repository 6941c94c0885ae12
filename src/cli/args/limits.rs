//! `--limit`: bounds on what a layer may cost, raised for an image that needs it.
//!
//! The names are those in the errors. `entries` is a bound of each layer and of the image.

use clap::Args;

use crate::layer::Limits;
use crate::pull::Options;

/// Bounds that are raised.
#[derive(Debug, Clone, Default, Args)]
pub struct RaisedLimits {
    /// Raise (or lower) a limit that an error names; may be given several times
    #[arg(long, value_name = "NAME=NUMBER", value_parser = parse)]
    pub limit: Vec<(Name, u64)>,
}

/// Which bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Entries of a layer, and of the image.
    Entries,
    /// Bytes of a PAX header, a GNU name or a sparse map.
    Extension,
    /// Bytes of an entry's extended attributes.
    Xattrs,
    /// Bytes that a layer unpacks to.
    Unpacked,
    /// Bytes unpacked for each compressed one.
    Ratio,
    /// Bytes of memory that unpacking a zstd or xz layer may take.
    Window,
    /// Bytes of names, link texts and attributes of the image.
    Bytes,
    /// Steps through symlinks in the image.
    Steps,
}

const NAMES: [(&str, Name); 8] = [
    ("entries", Name::Entries),
    ("extension", Name::Extension),
    ("xattrs", Name::Xattrs),
    ("unpacked", Name::Unpacked),
    ("ratio", Name::Ratio),
    ("window", Name::Window),
    ("bytes", Name::Bytes),
    ("steps", Name::Steps),
];

fn parse(text: &str) -> Result<(Name, u64), String> {
    let (name, number) = text.split_once('=').ok_or("it is written NAME=NUMBER")?;
    let known = NAMES.iter().find(|(known, _)| *known == name).ok_or_else(|| {
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        format!("no such limit; there is {}", names.join(", "))
    })?;
    let number = number.parse().map_err(|_| "the limit is a number".to_owned())?;
    let highest = match known.1 {
        Name::Extension => Limits::HIGHEST.tar.extension,
        Name::Xattrs => Limits::HIGHEST.tar.xattrs,
        Name::Window => Limits::HIGHEST.window,
        _ => u64::MAX,
    };
    if number > highest {
        return Err(format!("it cannot be higher than {highest}"));
    }
    Ok((known.1, number))
}

impl RaisedLimits {
    /// Sets them in `options`.
    pub fn apply(&self, options: &mut Options) {
        let (layer, merge) = (&mut options.limits, &mut options.merge_limits);
        for (name, number) in &self.limit {
            let bounds: &mut [&mut u64] = match name {
                Name::Entries => &mut [&mut layer.tar.entries, &mut merge.entries],
                Name::Extension => &mut [&mut layer.tar.extension],
                Name::Xattrs => &mut [&mut layer.tar.xattrs],
                Name::Unpacked => &mut [&mut layer.unpacked],
                Name::Ratio => &mut [&mut layer.ratio],
                Name::Window => &mut [&mut layer.window],
                Name::Bytes => &mut [&mut merge.bytes],
                Name::Steps => &mut [&mut merge.steps],
            };
            bounds.iter_mut().for_each(|bound| **bound = *number);
        }
    }
}
