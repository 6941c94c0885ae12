//! `--filter KEY=VALUE`, with Docker's keys and rules.
//!
//! Different keys must all hold. Of one key: all labels must hold, one reference pattern must, the
//! oldest `before` and the newest `since` count. An unknown key, a value that says nothing, or an
//! image that is not there is an error, and never an empty list.

mod glob;

use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::format::units::{Time, parse_moment};
use crate::oci::Reference;
use crate::store::StoredImage;
use glob::Pattern;

/// Filters as they were given.
#[derive(Debug, Default)]
pub struct Filters(Vec<(String, String)>);

impl Filters {
    /// Cuts each at its `=`; only keys in `known` may be used.
    pub fn parse(given: &[String], known: &[&str]) -> Result<Self, Error> {
        let mut filters = Vec::new();
        for text in given.iter().filter(|text| !text.is_empty()) {
            let Some((key, value)) = text.split_once('=') else {
                return Err(Error::usage(format!("--filter {text}: expected KEY=VALUE")));
            };
            let key = key.trim().to_lowercase();
            if !known.contains(&key.as_str()) {
                return Err(Error::failed(format!("--filter {text}: invalid filter '{key}'"))
                    .hint(format!("known filters: {}", known.join(", "))));
            }
            filters.push((key, value.trim().to_owned()));
        }
        Ok(Self(filters))
    }

    /// Adds one.
    pub fn add(&mut self, key: &str, value: &str) {
        self.0.push((key.to_owned(), value.to_owned()));
    }

    /// The values of a key.
    pub fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The value of a yes-or-no key; an error when it says both, or neither.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, Error> {
        let values: Vec<&str> = self.values(key).collect();
        if values.is_empty() {
            return Ok(None);
        }
        let has = |words: [&str; 2]| values.iter().any(|value| words.contains(value));
        match (has(["1", "true"]), has(["0", "false"])) {
            (true, false) => Ok(Some(true)),
            (false, true) => Ok(Some(false)),
            _ => Err(Error::failed(format!(
                "--filter: invalid filter '{key}={}'",
                values.join(&format!(",{key}="))
            ))),
        }
    }

    /// The number of a key; of several the greatest.
    pub fn number(&self, key: &str) -> Result<Option<u64>, Error> {
        let mut greatest = None;
        for value in self.values(key) {
            let number = value.parse::<u64>().map_err(|_| {
                Error::failed(format!("--filter {key}={value}: not a whole number"))
            })?;
            greatest = greatest.max(Some(number));
        }
        Ok(greatest)
    }

    /// Refuses several different values of a key, as Docker does where it acts on them.
    pub fn at_most_one(&self, key: &str) -> Result<(), Error> {
        let mut values = self.values(key);
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            return Err(Error::failed(format!("--filter: more than one {key} filter specified")));
        }
        Ok(())
    }

    /// The earliest moment of `until=`.
    fn until(&self) -> Result<Option<Time>, Error> {
        let now = Time::now();
        let mut earliest: Option<Time> = None;
        for value in self.values("until") {
            let time = parse_moment(value, now).ok_or_else(|| {
                Error::failed(format!("--filter until={value}: neither a time nor a duration"))
                    .hint("for example 24h, 2026-05-03 or 2026-05-03T20:51:25Z")
            })?;
            earliest = Some(earliest.map_or(time, |earliest| earliest.min(time)));
        }
        Ok(earliest)
    }

    /// Whether labels hold what `label=` and `label!=` ask for.
    fn labels_match(&self, labels: &[(String, String)]) -> bool {
        let holds = |wanted: &str| match wanted.split_once('=') {
            Some((key, value)) => labels.iter().any(|(k, v)| k == key && v == value),
            None => labels.iter().any(|(k, _)| k == wanted),
        };
        self.values("label").all(holds) && !self.values("label!").any(holds)
    }
}

/// Which images `ls` and `prune` are about.
#[derive(Debug)]
pub struct ImageFilter {
    filters: Filters,
    /// Only, or only not, those without a tag.
    pub dangling: Option<bool>,
    /// Older than this.
    before: Option<Time>,
    /// Newer than this.
    since: Option<Time>,
    references: Vec<Pattern>,
}

/// The keys of `ls`.
pub const LIST_KEYS: [&str; 7] =
    ["dangling", "label", "label!", "before", "since", "until", "reference"];

/// The keys of `prune`.
pub const PRUNE_KEYS: [&str; 4] = ["dangling", "label", "label!", "until"];

impl ImageFilter {
    /// Works out what the filters ask for; looks up the images that they name.
    pub fn new(filters: Filters, context: &mut Context) -> Result<Self, Error> {
        let mut before = filters.until()?;
        for name in filters.values("before") {
            let created = created(&context.image(name)?);
            before = Some(before.map_or(created, |before| before.min(created)));
        }
        let mut since: Option<Time> = None;
        for name in filters.values("since") {
            let created = created(&context.image(name)?);
            since = Some(since.map_or(created, |since| since.max(created)));
        }
        let mut references = Vec::new();
        for text in filters.values("reference") {
            let pattern = Pattern::parse(text);
            references.push(pattern.map_err(|_| {
                Error::failed(format!("--filter reference={text}: syntax error in pattern"))
            })?);
        }
        let dangling = filters.boolean("dangling")?;
        Ok(Self { filters, dangling, before, since, references })
    }

    /// Whether the image is meant, whatever its names are.
    pub fn takes(&self, image: &StoredImage) -> bool {
        let time = created(image);
        // One that says a time which is none is not taken for old.
        let known = image.config.created.is_none() || !time.is_zero();
        self.before.is_none_or(|before| known && time < before)
            && self.since.is_none_or(|since| time > since)
            && self.filters.labels_match(&image.config.config.labels)
    }

    /// Whether any pattern asks for names.
    pub fn asks_for_names(&self) -> bool {
        !self.references.is_empty()
    }

    /// Whether a name is meant: its short or full form, with or without tag or digest.
    pub fn takes_name(&self, name: &Reference) -> bool {
        let forms = [name.familiar(), name.familiar_name(), name.to_string(), name.name()];
        self.references.is_empty()
            || self.references.iter().any(|pattern| forms.iter().any(|form| pattern.matches(form)))
    }
}

/// When an image was made.
pub fn created(image: &StoredImage) -> Time {
    Time::of_config(image.config.created.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(given: &[&str]) -> Result<Filters, Error> {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        Filters::parse(&given, &LIST_KEYS)
    }

    #[test]
    fn what_is_no_filter() {
        assert_eq!(filters(&["dangling"]).expect_err("no value").status(), 2);
        assert_eq!(filters(&["colour=red"]).expect_err("no such key").status(), 1);
        for given in [&["dangling=maybe"][..], &["dangling=true", "dangling=false"]] {
            assert!(filters(given).expect("parses").boolean("dangling").is_err(), "{given:?}");
        }
        let both = filters(&["dangling=1", "Dangling=true"]).expect("parses");
        assert_eq!(both.boolean("dangling").expect("no conflict"), Some(true));
        let several = filters(&["until=1h", "until=1h", "label=a", "label=b"]).expect("parses");
        assert!(several.at_most_one("until").is_ok() && several.at_most_one("label").is_err());
        assert!(filters(&["until=later"]).expect("parses").until().is_err());
    }

    #[test]
    fn labels() {
        let labels = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())];
        for (given, wanted) in [
            (&["label=a"][..], true),
            (&["label=a=1"], true),
            (&["label=a=2"], false),
            (&["label=a", "label=b"], true),
            (&["label=a", "label=c"], false),
            (&["label!=a"], false),
            (&["label!=a=2"], true),
            (&["label=b=", "label!=c"], true),
        ] {
            assert_eq!(filters(given).expect("parses").labels_match(&labels), wanted, "{given:?}");
        }
    }
}
