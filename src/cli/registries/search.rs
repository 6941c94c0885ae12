//! `search`: repositories on Docker Hub, or repositories and tags of another registry.

use crate::cli::args::Search;
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::filter::Filters;
use crate::cli::format::{Columns, Format, ellipsis};
use crate::cli::images::pull::source_options;
use crate::source::registry::{self, Found, Registry};
use crate::template::{Field, Struct, Value};

/// How much of a description is shown.
const DESCRIPTION_WIDTH: usize = 45;

/// `shale search`
pub fn search(context: &mut Context, args: &Search) -> Result<(), Error> {
    let filters = Filters::parse(&args.filter, &["stars", "is-official", "is-automated"])?;
    let stars = filters.number("stars")?.unwrap_or(0);
    let official = filters.boolean("is-official")?;
    let automated = filters.boolean("is-automated")?;
    let (host, term) = split_host(&args.term);
    let table = match host {
        Some(_) => "{{.Name}}",
        None => "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
    };
    let columns = Columns {
        row: "result",
        titles: &[
            ("Name", "NAME"),
            ("Description", "DESCRIPTION"),
            ("StarCount", "STARS"),
            ("IsOfficial", "OFFICIAL"),
            ("IsAutomated", "AUTOMATED"),
        ],
        table: table.to_owned(),
    };
    let quiet = context.quiet.then_some("{{.Name}}");
    let format = Format::choose(args.format.as_deref(), &columns, quiet)?;
    let mut found = match host {
        Some(host) => search_registry(host, term, args)?,
        None => registry::search(&source_options(&args.connection), term, args.limit)?,
    };
    found.sort_by_key(|found| std::cmp::Reverse(found.stars));
    found.retain(|found| {
        u64::try_from(found.stars).unwrap_or(0) >= stars
            && official.is_none_or(|official| found.official == official)
            && automated.is_none_or(|automated| found.automated == automated)
    });
    let rows = found.iter().map(|found| result_row(found, args.no_trunc));
    format.print(&mut context.out, &columns, rows)
}

/// The registry in front of a term, when the first part looks like a host.
fn split_host(term: &str) -> (Option<&str>, &str) {
    match term.split_once('/') {
        Some((host, rest)) if host == "localhost" || host.contains(['.', ':']) => {
            // What Docker Hub has, its own search knows.
            let hub = ["docker.io", "index.docker.io"].contains(&host);
            (Some(host).filter(|_| !hub), rest)
        }
        _ => (None, term),
    }
}

/// A repository's tags, or the repositories that contain the term.
fn search_registry(host: &str, term: &str, args: &Search) -> Result<Vec<Found>, Error> {
    let registry = Registry::new(host, &source_options(&args.connection))?;
    let catalog = registry.catalog();
    let is_repository =
        |names: &Vec<String>| !term.is_empty() && names.iter().any(|name| name == term);
    let names: Vec<String> = match catalog {
        Ok(names) if !is_repository(&names) => {
            names.into_iter().filter(|name| name.contains(term)).collect()
        }
        // Many registries show no catalog; they still list the tags of what one can name.
        Err(error) if term.is_empty() => return Err(error.into()),
        _ => registry.tags(term)?.iter().map(|tag| format!("{term}:{tag}")).collect(),
    };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let found = |name: String| Found {
        name: format!("{host}/{name}"),
        description: String::new(),
        stars: 0,
        official: false,
        automated: false,
    };
    Ok(names.into_iter().take(limit).map(found).collect())
}

fn result_row(found: &Found, full: bool) -> Value {
    let description = found.description.replace(['\n', '\r'], " ");
    let description = if full { description } else { ellipsis(&description, DESCRIPTION_WIDTH) };
    let mut fields = vec![
        Field::new("Name", found.name.as_str()),
        Field::new("Description", description),
        Field::new("StarCount", found.stars.to_string()),
    ];
    fields.extend(mark("IsOfficial", found.official));
    fields.extend(mark("IsAutomated", found.automated));
    Value::from(Struct::row("result", fields))
}

/// Docker's two forms of yes and no: a mark for people, words in JSON.
fn mark(name: &'static str, yes: bool) -> [Field; 2] {
    [
        Field { json: None, ..Field::new(name, if yes { "[OK]" } else { "" }) },
        Field { json: Some(name), ..Field::new("", yes.to_string()) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_in_search_terms() {
        for (term, host, rest) in [
            ("debian", None, "debian"),
            ("user/app", None, "user/app"),
            ("localhost/app", Some("localhost"), "app"),
            ("127.0.0.1:5000/", Some("127.0.0.1:5000"), ""),
            ("ghcr.io/a/b", Some("ghcr.io"), "a/b"),
            ("docker.io/library/debian", None, "library/debian"),
        ] {
            assert_eq!(split_host(term), (host, rest), "{term}");
        }
    }
}
