//! The names of mount records.

use std::fmt;
use std::str::FromStr;

/// The most letters of an id.
const ID_LIMIT: usize = 64;

/// The name of a mount record: some ASCII letters and digits, so that it is a file's name and
/// nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MountId(String);

/// A text that is no [`MountId`].
#[derive(Debug, thiserror::Error)]
#[error("not the id of a mount")]
pub struct BadMountId;

impl TryFrom<String> for MountId {
    type Error = BadMountId;

    fn try_from(text: String) -> Result<Self, BadMountId> {
        let sane = !text.is_empty() && text.len() <= ID_LIMIT;
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if sane && plain { Ok(Self(text)) } else { Err(BadMountId) }
    }
}

impl FromStr for MountId {
    type Err = BadMountId;

    fn from_str(text: &str) -> Result<Self, BadMountId> {
        Self::try_from(text.to_owned())
    }
}

impl From<MountId> for String {
    fn from(id: MountId) -> Self {
        id.0
    }
}

impl fmt::Display for MountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl MountId {
    /// Of the first twelve of some digits, whatever else is among them being left out.
    pub fn of_digits(digits: &str) -> Self {
        let plain = digits.chars().filter(char::is_ascii_alphanumeric).take(12);
        Self(Some(plain.collect::<String>()).filter(|id| !id.is_empty()).unwrap_or("0".into()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_file_name_and_nothing_else() {
        for id in ["a", "0123456789ab", &"x".repeat(ID_LIMIT)] {
            assert_eq!(id.parse::<MountId>().expect(id).as_str(), id);
        }
        for id in ["", ".", "..", "../x", "a/b", "a.json", "a\0", "\u{e9}", &"x".repeat(65)] {
            assert!(id.parse::<MountId>().is_err(), "{id:?}");
        }
    }
}
