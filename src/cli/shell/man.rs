//! `man`: manual pages, from the definition that parses the command line.

use std::path::Path;

use crate::cli::args::{self, Man};
use crate::cli::context::Context;
use crate::cli::error::Error;

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
            found
                .ok_or_else(|| {
                    Error::usage(format!("no such command: {name}"))
                        .hint("`shale --help` lists them")
                })?
                .clone()
        }
    };
    context.out.raw(&render(page)?)
}

fn render(command: clap::Command) -> Result<Vec<u8>, Error> {
    let extra = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (commands, version) = (command.has_subcommands(), command.get_version().is_some());
    let man = clap_mangen::Man::new(command);
    let mut page = Vec::new();
    let mut sections = || -> std::io::Result<()> {
        man.render_title(&mut page)?;
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        if commands {
            man.render_subcommands_section(&mut page)?;
        }
        page.extend(as_written(&extra).bytes());
        // Only the program has one, and the crate counts on it.
        if version { man.render_version_section(&mut page) } else { Ok(()) }
    };
    sections().map_err(Error::io("manual page"))?;
    Ok(page)
}

/// Examples and notes with their lines as they are: filled lines would run commands together.
fn as_written(text: &str) -> String {
    let mut page = String::new();
    for (number, part) in text.split("\n\n").filter(|part| !part.is_empty()).enumerate() {
        let (title, lines) = match part.split_once('\n') {
            Some((title, lines)) if title.starts_with("Example") => ("EXAMPLES", lines),
            _ => (if number == 0 { "NOTES" } else { "" }, part),
        };
        page.push_str(&if title.is_empty() { ".PP\n".into() } else { format!(".SH {title}\n") });
        page.push_str(".nf\n");
        for line in lines.lines() {
            // A line that begins with a dot or a quote would be a request.
            page.push_str("\\&");
            page.push_str(&line.replace('\\', "\\e").replace('-', "\\-"));
            page.push('\n');
        }
        page.push_str(".fi\n");
    }
    page
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
