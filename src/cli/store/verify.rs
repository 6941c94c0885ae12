//! `verify`: what is wrong with the store, a finding a line, and with `--repair` what became of it.
//!
//! Exit status: 0 nothing is damaged, 1 something is, 4 something could not be looked at. Leftovers
//! of killed processes, tables of another version and what is odd in an image are listed and are no
//! damage.

use crate::cli::args::Verify as Args;
use crate::cli::context::{Context, stored_name};
use crate::cli::error::{Error, status};
use crate::cli::format::{Columns, Format};
use crate::cli::images::pull::source_options;
use crate::cli::terminal::Progress;
use crate::oci::{ImageName, Reference};
use crate::pull::{self, Outcome};
use crate::source;
use crate::store::Store;
use crate::store::verify::{Finding, Remedy, Severity};
use crate::template::{Field, Struct, Value};

/// The exit status when something could not be looked at.
const UNCHECKED: u8 = 4;

/// `shale verify`
pub fn verify(context: &mut Context, args: &Args) -> Result<(), Error> {
    let columns = Columns { row: "finding", titles: &[], table: String::new() };
    let format = match &args.format {
        Some(format) => Format::parse(format)?,
        None if args.repair || args.dry_run => {
            Format::parse("{{.Code}} {{.Object}} {{.Path}}: {{.Detail}}: {{.Remedy}}")?
        }
        None => Format::parse("{{.Code}} {{.Object}} {{.Path}}: {{.Detail}}")?,
    };
    let (store, findings) = look(context, args).map_err(unchecked)?;
    let outcomes = if args.repair && !args.dry_run {
        let options = source_options(&args.connection);
        let open =
            |reference: &Reference| source::open(&ImageName::Registry(reference.clone()), &options);
        let progress = Progress::new(context.quiet, context.out.can_draw());
        let outcomes = pull::repair(&store, &findings, &open, &progress);
        progress.clear();
        outcomes
    } else {
        Vec::new()
    };
    let rows =
        findings.iter().enumerate().map(|(number, finding)| row(finding, outcomes.get(number)));
    if !context.quiet {
        format.print(&mut context.out, &columns, rows)?;
    }
    conclude(context, &findings, &outcomes)
}

/// Looks, and changes nothing: not even a store is made.
fn look(context: &mut Context, args: &Args) -> Result<(Store, Vec<Finding>), Error> {
    let store = context.existing_store()?;
    let name = args.image.as_deref().map(stored_name);
    let findings = pull::verify(&store, name.as_deref(), args.deep)?;
    Ok((store, findings))
}

/// Not having looked is not having found damage.
fn unchecked(error: Error) -> Error {
    match error {
        Error::Failed { message, hint, .. } => Error::Failed { message, hint, status: UNCHECKED },
        other => other,
    }
}

fn row(finding: &Finding, outcome: Option<&Outcome>) -> Value {
    let remedy = match outcome {
        Some(Outcome::Repaired) => "repaired".to_owned(),
        Some(Outcome::Left(why)) => format!("left: {why}"),
        None => plan(&finding.remedy).to_owned(),
    };
    let severity = match finding.severity {
        Severity::Warning => "warning",
        Severity::Outdated => "outdated",
        Severity::Leftover => "leftover",
        Severity::Unchecked => "unchecked",
        Severity::Damage => "damage",
    };
    Value::from(Struct::row(
        "finding",
        vec![
            Field::new("Code", finding.code.to_string()),
            Field::new("Severity", severity),
            Field::new("Object", finding.object.as_str()),
            Field::new("Path", finding.path.to_string_lossy().into_owned()),
            Field::new("Detail", finding.detail.as_str()),
            Field::new("Remedy", remedy),
        ],
    ))
}

/// What `--repair` would do.
fn plan(remedy: &Remedy) -> &'static str {
    match remedy {
        Remedy::Quarantine => "would go to quarantine",
        Remedy::Remove => "would be removed",
        Remedy::Refetch(_) => "would be fetched again",
        Remedy::Derive => "would be made again",
        Remedy::SetMode(_) => "its mode would be set",
        Remedy::SetOwner(_) => "would be given back to the store's owner",
        Remedy::RenewLayout => "would be written again",
        Remedy::ForgetMount(_) => "would be forgotten",
        Remedy::DropRow(_) => "the row would go to quarantine",
        Remedy::RebuildIndex => "index.json would be made again",
        Remedy::None => "left",
    }
}

/// The exit status, and a word on it.
fn conclude(
    context: &mut Context,
    findings: &[Finding],
    outcomes: &[Outcome],
) -> Result<(), Error> {
    let left = |number: usize| !matches!(outcomes.get(number), Some(Outcome::Repaired));
    let counts = |severity: Severity| {
        let all = findings.iter().enumerate();
        all.filter(|(number, finding)| finding.severity == severity && left(*number)).count()
    };
    let (damage, unchecked) = (counts(Severity::Damage), counts(Severity::Unchecked));
    let (leftovers, odd) = (counts(Severity::Leftover), counts(Severity::Warning));
    let outdated = counts(Severity::Outdated);
    let repaired = outcomes.iter().filter(|outcome| **outcome == Outcome::Repaired).count();
    let mut words = Vec::new();
    for (count, what) in [
        (repaired, "repaired"),
        (damage, "damaged"),
        (unchecked, "not checked"),
        (leftovers, "left over (`shale prune` takes it)"),
        (outdated, "of another version of shale (made again when needed)"),
        (odd, "odd in the layers (no damage; SEMANTICS.md says what is shown)"),
    ] {
        if count > 0 {
            words.push(format!("{count} {what}"));
        }
    }
    if damage + unchecked + repaired + leftovers == 0 {
        words.insert(0, "clean".to_owned());
    }
    context.out.message(&words.join(", "));
    match (damage, unchecked) {
        (0, 0) => Ok(()),
        (0, _) => Err(Error::Said { status: UNCHECKED }),
        _ => Err(Error::Said { status: status::FAILED }),
    }
}
