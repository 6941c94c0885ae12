//! `completion` and `man`: what a shell and man(1) want to know, from the same definition that
//! parses the command line.

use std::path::Path;

use clap_complete::Shell;
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use super::args::{self, Completion, Man};
use super::context::Context;
use super::error::Error;

/// The variable by which the scripts ask this program for completions.
pub const COMPLETE: &str = "COMPLETE";

/// `shale completion`
pub fn completion(context: &mut Context, args: &Completion) -> Result<(), Error> {
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::PowerShell => &Powershell,
        Shell::Zsh => &Zsh,
        other => return Err(Error::usage(format!("completion for {other} is not known"))),
    };
    let mut script = Vec::new();
    shell
        .write_registration(COMPLETE, "shale", "shale", "shale", &mut script)
        .map_err(Error::io("completion script"))?;
    context.out.raw(&script)
}

/// `shale man`
pub fn man(context: &mut Context, args: &Man) -> Result<(), Error> {
    let mut command = args::command();
    command.build();
    if let Some(directory) = &args.output {
        return write_all(&command, directory);
    }
    let page = match &args.command {
        None => command,
        Some(name) => {
            let found = command.find_subcommand(name);
            found.ok_or_else(|| Error::usage(format!("no such command: {name}")))?.clone()
        }
    };
    context.out.raw(&render(page)?)
}

fn render(command: clap::Command) -> Result<Vec<u8>, Error> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(Error::io("manual page"))?;
    Ok(page)
}

/// One page for the program and one for each command: `shale.1`, `shale-mount.1`.
fn write_all(command: &clap::Command, directory: &Path) -> Result<(), Error> {
    let commands = command.get_subcommands().filter(|command| command.get_name() != "image");
    let pages = commands.map(|found| (format!("shale-{}.1", found.get_name()), found.clone()));
    for (name, command) in pages.chain([("shale.1".to_owned(), command.clone())]) {
        let path = directory.join(name);
        std::fs::write(&path, render(command)?).map_err(Error::io(path.display()))?;
    }
    Ok(())
}
