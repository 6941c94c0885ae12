//! What an image may cost: the one table of bounds, with their names, defaults and errors.
//!
//! Whoever works through bytes from outside holds what it finds against a bound of this table; one
//! that does not hold is an [`Exceeded`], which says its name, so that a person can raise it
//! (`--limit NAME=NUMBER`) for an image that is to be trusted. SEMANTICS.md shows the same table.
//!
//! What bounds memory or has a place in a file's format has a highest value too, since an image
//! that was taken once is read again under [`Limits::HIGHEST`]: whoever pulled it may have raised
//! any bound, and its bytes may have been damaged since.

use std::error::Error;
use std::fmt;
use std::io;

/// Bytes that a layer may unpack to before [`Limits::ratio`] counts.
pub const RATIO_FREE: u64 = 64 << 20;

/// What a bound counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Anything else.
    Number,
}

macro_rules! table {
    ($($(#[doc = $doc:literal])+
        $field:ident $limit:ident: $unit:ident, $default:expr, up to $highest:expr, $error:literal;
    )+) => {
        /// Which bound.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Limit {
            $($(#[doc = $doc])+ $limit,)+
        }

        /// A value for each bound.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $field: u64,)+
        }

        impl Limits {
            /// Those that count when nobody says otherwise.
            pub const DEFAULT: Self = Self { $($field: $default,)+ };

            /// The highest there are, for images that were taken before.
            pub const HIGHEST: Self = Self { $($field: $highest,)+ };

            /// The value of one of them.
            pub fn get(&self, limit: Limit) -> u64 {
                match limit {
                    $(Limit::$limit => self.$field,)+
                }
            }

            /// Sets one of them, as far as it goes.
            pub fn set(&mut self, limit: Limit, value: u64) {
                match limit {
                    $(Limit::$limit => self.$field = value.min($highest),)+
                }
            }
        }

        impl Limit {
            /// All, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$limit,)+];

            /// The name that errors and `--limit` use.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$limit => stringify!($field),)+
                }
            }

            /// What it counts.
            pub fn unit(self) -> Unit {
                match self {
                    $(Self::$limit => Unit::$unit,)+
                }
            }

            /// What it is a bound on: one sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$limit => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }

        impl fmt::Display for Exceeded {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Self { limit, most } = *self;
                match limit {
                    $(Limit::$limit => write!(f, $error, most)?,)+
                }
                write!(f, " (limit `{}`)", limit.name())
            }
        }
    };
}

table! {
    /// Bytes of a layer as it is fetched.
    blob Blob: Bytes, 64 << 30, up to u64::MAX,
        "it has more than {} bytes";
    /// Bytes that a layer unpacks to.
    unpacked Unpacked: Bytes, 64 << 30, up to u64::MAX,
        "unpacks to more than {} bytes";
    /// Bytes unpacked for each byte of a layer, runs of zeros and the first 64 MiB not counted.
    ratio Ratio: Number, 1000, up to u64::MAX,
        "unpacks to more than {} times its size";
    /// Bytes of a layer beyond twice what they unpack to.
    overhead Overhead: Bytes, 16 << 20, up to u64::MAX,
        "more than {} bytes beyond twice what they unpack to";
    /// Bytes that follow the end of a layer's archive.
    trailing Trailing: Bytes, 16 << 20, up to u64::MAX,
        "more than {} bytes after the end of the archive";
    /// Bytes of memory that unpacking a zstd or xz layer takes.
    window Window: Bytes, 128 << 20, up to WINDOW_HIGHEST,
        "needs a window of more than {} bytes";
    /// Entries of all layers of an image, with the directories that no entry describes.
    entries Entries: Number, 10_000_000, up to ROWS_HIGHEST,
        "more than {} entries";
    /// Directories of an image that no entry describes.
    parents Parents: Number, 1_000_000, up to ROWS_HIGHEST,
        "more than {} directories that no entry describes";
    /// Bytes of a PAX header, a GNU name or a sparse map.
    extension Extension: Bytes, 1 << 20, up to 64 << 20,
        "an extension of more than {} bytes";
    /// Bytes of an entry's extended attributes.
    xattrs Xattrs: Bytes, 64 << 10, up to 64 << 20,
        "extended attributes of more than {} bytes";
    /// Bytes of the names, link texts, attributes and sparse maps of an image.
    bytes Bytes: Bytes, 1 << 30, up to (4 << 30) - 1,
        "names and attributes of more than {} bytes";
    /// Parts of paths that are walked because of symlinks, in an image.
    steps Steps: Number, 100_000_000, up to u64::MAX,
        "more than {} steps through symlinks";
}

/// As far as libzstd goes.
const WINDOW_HIGHEST: u64 = if cfg!(target_pointer_width = "64") { 2 << 30 } else { 1 << 30 };

/// Rows of a tree's table: they are numbered in 32 bits, and two of the numbers mean something else.
const ROWS_HIGHEST: u64 = (1 << 32) - 3;

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Limits {
    /// Whether `found` is within the bound.
    ///
    /// # Errors
    /// When it is above.
    pub fn hold(&self, limit: Limit, found: u64) -> Result<(), Exceeded> {
        let most = self.get(limit);
        if found > most { Err(Exceeded { limit, most }) } else { Ok(()) }
    }
}

impl Limit {
    /// The bound of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|limit| limit.name() == name)
    }
}

/// A bound was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Which.
    pub limit: Limit,
    /// Its value.
    pub most: u64,
}

impl Error for Exceeded {}

impl Exceeded {
    /// The bound that is the cause of `error`, when one is.
    pub fn behind(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(exceeded) = error.downcast_ref::<Self>() {
                return Some(*exceeded);
            }
            // An I/O error is silent about the error that it carries.
            next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(carried) => Some(carried),
                None => error.source(),
            };
        }
        None
    }
}
