//! Platforms: one spelling for each, and the order of preference, as containerd has them.
//!
//! Two platforms are the same when their normal forms are ([`Platform::normal`]); what an image's
//! author wrote is kept for showing.

use std::fmt;
use std::str::FromStr;

/// An operating system and processor that an image is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// `linux`, ...
    pub os: String,
    /// GOARCH: `amd64`, `arm64`, ...
    pub architecture: String,
    /// `v7`, `v8`, ...
    pub variant: Option<String>,
    /// `os.version`, for Windows images.
    pub os_version: Option<String>,
}

/// Why a text is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// A part is empty or has characters that no platform has.
    #[error("platform {0:?} is not OS, ARCH, OS/ARCH or OS/ARCH/VARIANT")]
    Malformed(String),
    /// One word that is neither.
    #[error("platform {0:?} is neither a known operating system nor a known processor")]
    Unknown(String),
}

/// GOOS values, for a platform given as one word.
const SYSTEMS: [&str; 15] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "ios",
    "js",
    "linux",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
];

/// GOARCH values (in normal form), for a platform given as one word.
const PROCESSORS: [&str; 15] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
    "ppc64le", "riscv64", "s390x", "sparc64", "wasm",
];

impl Platform {
    /// `os/architecture` without a variant.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
            os_version: None,
        }
    }

    /// The platform that images run on here.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", None),
            "arm" if cfg!(target_feature = "v7") => ("arm", Some("v7")),
            "arm" => ("arm", Some("v6")),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
            "powerpc64" => ("ppc64", None),
            "mips64" if cfg!(target_endian = "little") => ("mips64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        let variant = variant.map(str::to_owned);
        Self { variant, ..Self::new("linux", architecture) }
    }

    /// The one spelling of this platform: lower case, Go's names, no variant where it is the
    /// default one (amd64 v1, arm64 v8) and one where there must be one (arm v7).
    #[must_use]
    pub fn normal(&self) -> Self {
        let lower = |text: &str| text.to_ascii_lowercase();
        let os = match lower(&self.os).as_str() {
            "" => "linux".to_owned(),
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let variant = self.variant.as_deref().map(lower).unwrap_or_default();
        let (architecture, variant) = match (lower(&self.architecture).as_str(), variant.as_str()) {
            ("i386", _) => ("386".to_owned(), String::new()),
            ("x86_64" | "x86-64" | "amd64", "v1" | "1") => ("amd64".to_owned(), String::new()),
            ("x86_64" | "x86-64" | "amd64", _) => ("amd64".to_owned(), variant),
            ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64".to_owned(), String::new()),
            ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64".to_owned(), "v9".to_owned()),
            ("aarch64" | "arm64", _) => ("arm64".to_owned(), variant),
            ("armhf", _) => ("arm".to_owned(), "v7".to_owned()),
            ("armel", _) => ("arm".to_owned(), "v6".to_owned()),
            ("arm", "" | "7") => ("arm".to_owned(), "v7".to_owned()),
            ("arm", "5" | "6" | "8") => ("arm".to_owned(), format!("v{variant}")),
            (other, _) => (other.to_owned(), variant),
        };
        let variant = (!variant.is_empty()).then_some(variant);
        Self { os, architecture, variant, os_version: self.os_version.clone() }
    }

    /// Everything that runs on this platform, best first, in normal form.
    pub fn preferences(&self) -> Vec<Self> {
        let wanted = self.normal();
        let with = |architecture: &str, variant: Option<u32>| {
            Self {
                architecture: architecture.to_owned(),
                variant: variant.map(|number| format!("v{number}")),
                ..wanted.clone()
            }
            .normal()
        };
        let number = |text: &Option<String>| -> Option<u32> {
            text.as_deref()?.strip_prefix('v')?.parse().ok().filter(|number| *number < 100)
        };
        let variant = number(&wanted.variant);
        let mut list = vec![wanted.clone()];
        match wanted.architecture.as_str() {
            "amd64" => {
                list.extend(
                    (1..variant.unwrap_or(1)).rev().map(|older| with("amd64", Some(older))),
                );
                list.push(with("386", None));
            }
            "arm" => {
                list.extend((5..variant.unwrap_or(5)).rev().map(|older| with("arm", Some(older))));
            }
            "arm64" => {
                let newest = variant.unwrap_or(8);
                list.extend((8..newest).rev().map(|older| with("arm64", Some(older))));
                list.extend((5..=8).rev().map(|older| with("arm", Some(older))));
            }
            _ => {}
        }
        list
    }

    /// Whether an image for `self` is one for `other`, whatever the spelling. An `os_version` counts
    /// only when both have one.
    pub fn matches(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.normal(), other.normal());
        let versions = match (&mine.os_version, &theirs.os_version) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => true,
        };
        versions
            && (mine.os, mine.architecture, mine.variant)
                == (theirs.os, theirs.architecture, theirs.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        if let Some(version) = &self.os_version {
            write!(f, "({version})")?;
        }
        write!(f, "/{}", self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// `linux/arm64/v8`, `arm64`, `linux`, `windows(10.0.17763)/amd64`; the result is in normal
    /// form, what is not given is the host's.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let malformed = || PlatformError::Malformed(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        let (first, os_version) = match parts[0].split_once('(') {
            Some((os, rest)) => (os, Some(rest.strip_suffix(')').ok_or_else(malformed)?)),
            None => (parts[0], None),
        };
        let legal = |part: &str| {
            let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !part.is_empty() && part.chars().all(word)
        };
        let rest = parts.get(1..).unwrap_or_default();
        let all_legal = legal(first) && rest.iter().all(|part| legal(part));
        if !all_legal || os_version.is_some_and(|version| !legal(version)) {
            return Err(malformed());
        }
        let platform = match *rest {
            [] => Self::from_one_word(first)?,
            [architecture] => Self::new(first, architecture),
            [architecture, variant] => {
                Self { variant: Some(variant.to_owned()), ..Self::new(first, architecture) }
            }
            _ => return Err(malformed()),
        };
        Ok(Self { os_version: os_version.map(str::to_owned), ..platform }.normal())
    }
}

impl Platform {
    /// The platform of a word that is a system or a processor.
    fn from_one_word(word: &str) -> Result<Self, PlatformError> {
        let host = Self::host();
        let as_system = Self { os: word.to_owned(), ..host.clone() }.normal();
        if SYSTEMS.contains(&as_system.os.as_str()) {
            return Ok(as_system);
        }
        let as_processor = Self::new(&host.os, word).normal();
        if PROCESSORS.contains(&as_processor.architecture.as_str()) {
            return Ok(as_processor);
        }
        Err(PlatformError::Unknown(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().expect(text)
    }

    #[test]
    fn spellings() {
        for (text, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/X86-64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/i386", "linux/386"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/8", "linux/arm64"),
            ("linux/arm64/v9", "linux/arm64/v9"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("arm64", "linux/arm64"),
            ("aarch64", "linux/arm64"),
            ("s390x", "linux/s390x"),
            ("macos/arm64", "darwin/arm64"),
            ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
            ("plan9/pdp11", "plan9/pdp11"),
        ] {
            assert_eq!(platform(text).to_string(), normal, "{text}");
        }
        assert_eq!(platform("linux"), Platform::host().normal());
    }

    #[test]
    fn not_platforms() {
        for text in
            ["", "/", "linux/", "/amd64", "linux/amd64/v1/x", "lin ux/amd64", "vax", "windows(1/a"]
        {
            assert!(text.parse::<Platform>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn preferences_as_containerd_orders_them() {
        for (wanted, order) in [
            ("linux/amd64", "linux/amd64 linux/386"),
            ("linux/amd64/v3", "linux/amd64/v3 linux/amd64/v2 linux/amd64 linux/386"),
            ("linux/arm64", "linux/arm64 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5"),
            (
                "linux/arm64/v9",
                "linux/arm64/v9 linux/arm64 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5",
            ),
            ("linux/arm", "linux/arm/v7 linux/arm/v6 linux/arm/v5"),
            ("linux/arm/v5", "linux/arm/v5"),
            ("linux/s390x", "linux/s390x"),
        ] {
            let list: Vec<_> =
                platform(wanted).preferences().iter().map(Platform::to_string).collect();
            assert_eq!(list.join(" "), order, "{wanted}");
        }
    }

    #[test]
    fn a_huge_variant_makes_no_huge_list() {
        assert!(platform("linux/amd64/v4000000000").preferences().len() < 3);
    }

    #[test]
    fn matching_ignores_spelling() {
        let arm = Platform::new("", "aarch64");
        assert!(arm.matches(&platform("linux/arm64/v8")));
        assert!(!arm.matches(&platform("linux/arm/v7")));
        let (old, new) = (platform("windows(1)/amd64"), platform("windows(2)/amd64"));
        assert!(!old.matches(&new));
        assert!(old.matches(&platform("windows/amd64")));
    }
}
