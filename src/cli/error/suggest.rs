//! What to do about a name that the store does not have: most often it is a slip of the fingers,
//! another tag, or an image that was never fetched.

use strsim::osa_distance;

use crate::cli::error::Error;
use crate::oci::Reference;
use crate::store::{Store, StoreError};

/// How many other tags are named.
const TAGS: usize = 3;

/// The error of a look-up of `text`, with a remedy that fits.
pub fn explain(store: &Store, text: &str, error: StoreError) -> Error {
    if !matches!(error, StoreError::NoSuchImage { .. }) {
        return error.into();
    }
    match text.parse::<Reference>() {
        Err(_) if is_id(text) => error.into(),
        // The beginning of an ID, which no registry knows.
        Ok(_) if text.starts_with("sha256:") && is_id(text) => error.into(),
        Err(why) => Error::failed(format!("no such image: {why}")),
        Ok(wanted) => {
            let names = store.names().unwrap_or_default();
            let names = names.iter().filter_map(|row| row.name.as_deref()?.parse().ok());
            let remedy = remedy(&wanted, &names.collect::<Vec<Reference>>());
            Error::from(error).hint(remedy.unwrap_or_else(|| {
                format!("`shale pull {text}` fetches it, `shale ls` lists the images there are")
            }))
        }
    }
}

fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Other tags of the same repository, or a name that is spelled much like it.
fn remedy(wanted: &Reference, names: &[Reference]) -> Option<String> {
    let same = names.iter().filter(|name| name.name() == wanted.name());
    let tags: Vec<String> = same.map(|name| format!("`{}`", name.familiar())).take(TAGS).collect();
    if !tags.is_empty() {
        let pull = format!("`shale pull {}` fetches that one", wanted.familiar());
        return Some(format!("there is {}; {pull}", tags.join(", ")));
    }
    let spelled = |name: &Reference| {
        let whole = osa_distance(&wanted.familiar(), &name.familiar());
        let repository = osa_distance(&wanted.familiar_name(), &name.familiar_name());
        let last = |name: &Reference| name.repository().rsplit('/').next().map(str::to_owned);
        // The same program from another place is what people mean by its bare name.
        if last(name) == last(wanted) { 1 } else { whole.min(repository) }
    };
    let closest = names.iter().min_by_key(|name| spelled(name))?;
    let limit = (wanted.familiar_name().chars().count() / 3).clamp(1, 2);
    (spelled(closest) <= limit).then(|| format!("did you mean `{}`?", closest.familiar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        let parse = |text: &str| text.parse::<Reference>().expect(text);
        let names = ["debian:12", "debian:11", "ghcr.io/team/tool:v1"].map(parse);
        for (wanted, remedy_wanted) in [
            ("debian", Some("there is `debian:12`, `debian:11`; `shale pull debian:latest`")),
            ("debain:12", Some("did you mean `debian:12`?")),
            ("tool", Some("did you mean `ghcr.io/team/tool:v1`?")),
            ("alpine", None),
            ("dab", None),
        ] {
            let remedy = remedy(&parse(wanted), &names);
            match remedy_wanted {
                None => assert_eq!(remedy, None, "{wanted}"),
                Some(words) => assert!(remedy.unwrap_or_default().starts_with(words), "{wanted}"),
            }
        }
    }
}
