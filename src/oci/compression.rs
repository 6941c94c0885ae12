//! How a stream is compressed, as its first bytes say: the one place that knows them.
//!
//! The bytes decide, never a media type: engines do the same, and wrong media types exist.

/// How a stream is compressed. The number is part of the on-disk formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Compression {
    /// Not at all.
    None = 0,
    /// RFC 1952, any number of members.
    Gzip = 1,
    /// RFC 8878, any number of frames.
    Zstd = 2,
    /// The .xz format; no media type says so, `docker load` accepts it.
    Xz = 3,
    /// The .bz2 format; no media type says so, `docker load` accepts it.
    Bzip2 = 4,
}

impl Compression {
    /// Bytes that [`Compression::of`] needs to see, unless the stream is shorter.
    pub const MAGIC: usize = 6;

    /// What a stream that begins with `magic` is. What has no magic known here is taken for a plain
    /// tar; the walker says what is wrong when it is none.
    pub fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame in front, as zstd:chunked and seekable zstd files may have.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // A tar may begin with a name like "BZh9": after it comes a block, or the end.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => Self::Bzip2,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, ..] => Self::Bzip2,
            _ => Self::None,
        }
    }

    /// The name people use: `none`, `gzip`, `zstd`, `xz`, `bzip2`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }

    /// The compression with this on-disk number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Zstd, Self::Xz, Self::Bzip2]
            .into_iter()
            .find(|compression| *compression as u8 == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_say_the_compression() {
        use Compression::{Bzip2, Gzip, None as Plain, Xz, Zstd};
        let cases: [(&[u8], Compression); 11] = [
            (b"\x1f\x8b\x08\0", Gzip),
            (b"\x28\xb5\x2f\xfd", Zstd),
            (b"\x50\x2a\x4d\x18\x04\0", Zstd),
            (b"BZh91AY", Bzip2),
            (b"BZh9\x17rE8P\x90", Bzip2),
            (b"BZh91.tar", Plain),
            (b"BZh9.txt", Plain),
            (b"\xfd7zXZ\0", Xz),
            (b"etc/\0\0\0\0", Plain),
            (b"", Plain),
            (b"\x1f", Plain),
        ];
        for (start, compression) in cases {
            assert_eq!(Compression::of(start), compression, "{start:?}");
        }
    }
}
