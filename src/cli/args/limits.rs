//! `--limit`: bounds on what an image may cost, raised for one that needs it.
//!
//! The names are those of the table in [`crate::limits`], which errors name too.

use clap::Args;

use crate::limits::{Limit, Limits};

/// Bounds that are raised.
#[derive(Debug, Clone, Default, Args)]
pub struct RaisedLimits {
    /// Raise (or lower) a limit that an error names; may be given several times
    #[arg(long, value_name = "NAME=NUMBER", value_parser = parse)]
    pub limit: Vec<(Limit, u64)>,
}

fn parse(text: &str) -> Result<(Limit, u64), String> {
    let (name, number) = text.split_once('=').ok_or("it is written NAME=NUMBER")?;
    let limit = Limit::of(name).ok_or_else(|| {
        let names: Vec<&str> = Limit::ALL.iter().map(|limit| limit.name()).collect();
        format!("no such limit; there is {}", names.join(", "))
    })?;
    let number = number.parse().map_err(|_| "the limit is a number".to_owned())?;
    let highest = Limits::HIGHEST.get(limit);
    if number > highest {
        return Err(format!("it cannot be higher than {highest}"));
    }
    Ok((limit, number))
}

impl RaisedLimits {
    /// All limits, these among them.
    pub fn all(&self) -> Limits {
        let mut limits = Limits::DEFAULT;
        for (limit, number) in &self.limit {
            limits.set(*limit, *number);
        }
        limits
    }
}
